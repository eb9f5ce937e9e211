//! The command `replicante`: all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    replicante::main()
}
