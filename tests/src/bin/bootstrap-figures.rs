//! Size and cold start of the bootstraps below a folder, as the table of docs/benchmarks.md.
//!
//! `bootstrap-figures FOLDER`. Cold start is the time from the start of a process to its first question for an invocation, of
//! 20 starts one after the other. On a machine that does other work the fastest of them says most, so the goal is for that
//! one. It ends with 1 when a goal is missed.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use replicante_local::{Local, LocalConfig};
use replicante_tests::Failure;
use replicante_tests::bootstraps::{Function, Image, Sandbox, environment};

const STARTS: usize = 20;
/// The goals: 14 MB, 6 MB zipped, 40 ms.
const SIZE: usize = 14_000_000;
const ZIPPED: usize = 6_000_000;
const COLD_START: Duration = Duration::from_millis(40);

struct Figures {
    size: usize,
    zipped: usize,
    /// In order.
    cold_starts: Vec<Duration>,
    /// The least processor time that a start took.
    processor: Duration,
    /// What the process has used when it asks for its first invocation, in KiB.
    memory: u64,
}

async fn figures(function: Function, image: &Image) -> Result<Figures, Failure> {
    let bytes = std::fs::read(&image.path).map_err(|error| format!("{}: {error}", image.path.display()))?;
    let mut zipped = DeflateEncoder::new(Vec::new(), Compression::best());
    zipped.write_all(&bytes)?;
    let (mut cold_starts, mut memory, mut processor) = (Vec::new(), 0, Duration::MAX);
    for _ in 0..STARTS {
        let sandbox = Sandbox::start(image).await.map_err(|error| format!("{}: {error}", function.name()))?;
        cold_starts.push(sandbox.cold_start);
        let status = std::fs::read_to_string(format!("/proc/{}/status", sandbox.pid()?))?;
        let schedstat = std::fs::read_to_string(format!("/proc/{}/schedstat", sandbox.pid()?))?;
        let nanos = schedstat.split(' ').next().and_then(|nanos| nanos.parse().ok());
        processor =
            processor.min(Duration::from_nanos(nanos.ok_or("the kernel keeps no time of processes")?));
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok());
        memory = memory.max(kib.ok_or("the kernel does not say how much memory it used")?);
    }
    cold_starts.sort();
    Ok(Figures { size: bytes.len(), zipped: zipped.finish()?.len(), cold_starts, processor, memory })
}

async fn run() -> Result<bool, Failure> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: bootstrap-figures FOLDER")?);
    let local = Local::start(&LocalConfig::default()).await?;
    let environment: BTreeMap<String, String> = environment(&local)?;
    println!("| function | MB | zipped | cold start, ms: fastest / median | of it processor | memory, MiB |");
    println!("| --- | --: | --: | --: | --: | --: |");
    let mut met = true;
    for function in Function::ALL {
        let path = folder.join(function.name()).join("bootstrap");
        let image = Image { function: function.name().into(), path, environment: environment.clone() };
        let figures = figures(function, &image).await?;
        let millis = |at: usize| figures.cold_starts[at].as_secs_f64() * 1000.0;
        let megabytes = |bytes: usize| bytes as f64 / 1_000_000.0;
        println!(
            "| {} | {:.2} | {:.2} | {:.1} / {:.1} | {:.1} | {:.1} |",
            function.name(),
            megabytes(figures.size),
            megabytes(figures.zipped),
            millis(0),
            millis(STARTS / 2),
            figures.processor.as_secs_f64() * 1000.0,
            figures.memory as f64 / 1024.0,
        );
        met &= figures.size <= SIZE && figures.zipped <= ZIPPED && figures.cold_starts[0] <= COLD_START;
    }
    Ok(met)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("a goal was missed: 14 MB, 6 MB zipped, 40 ms");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
