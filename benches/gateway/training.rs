//! Processes of a build that counts what it runs (`benches/guided.sh`): the counts are written when a process ends by itself, so
//! here it does.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;

/// How long one may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether what runs here is such a build: the variable says where the counts go.
pub(crate) fn is_on() -> bool {
    std::env::var_os("LLVM_PROFILE_FILE").is_some()
}

/// Lets this process end when it is told to.
pub(crate) fn ends_when_told() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut told = runtime.block_on(async { signal(SignalKind::terminate()) })?;
    std::thread::Builder::new().spawn(move || {
        runtime.block_on(told.recv());
        std::process::exit(0);
    })?;
    Ok(())
}

/// Tells `child` to end, and waits until it has.
pub(crate) fn end(child: &mut Child) {
    let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    let told = Instant::now();
    while matches!(child.try_wait(), Ok(None)) && told.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(10));
    }
}
