//! `validate`: what `apply` checks, without any system.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::args::positive;
use crate::error::CliError;
use crate::{files, out};

/// Values of `validate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replicante validate -f discovery.yaml            for a deployment on AWS\n  \
    replicante validate -f objects/*.yaml --tick 1s  for `replicante up`: intervals may be shorter\n\n\
    Whether a source answers is not tried: `replicante discovery test` does that.\n\
    Exit codes: 0 all is right, 1 something is wrong.")]
pub struct ValidateArgs {
    /// Objects: YAML or JSON, several documents a file; `-` for the standard input
    #[arg(short, long = "file", value_name = "FILE", num_args = 1.., required = true)]
    pub files: Vec<PathBuf>,
    /// The tick of the deployment that they are for: no interval is shorter
    #[arg(long, env = "REPLICANTE_TICK", hide_env_values = true, default_value = "1m", value_parser = positive, value_name = "TIME")]
    pub tick: Duration,
}

/// Runs the command.
///
/// # Errors
/// All that is wrong with the files, by line.
pub fn run(args: &ValidateArgs) -> Result<(), CliError> {
    let objects = files::read(&args.files, args.tick)?;
    objects.iter().try_for_each(|object| out::line(format_args!("{} is right", files::title(object))))
}
