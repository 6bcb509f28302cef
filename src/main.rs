//! The command.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let get = |n: &str| args.iter().position(|a| a == n).and_then(|i| args.get(i + 1)).cloned();
    use completiond::config::*;
    let overrides = Overrides {
        listen: get("--listen").map(|a| a.parse().unwrap()),
        admin_listen: get("--admin-listen").map(|a| a.parse().unwrap()),
        ops_listen: get("--ops-listen").map(|a| a.parse().unwrap()),
        default_drain_delay: Some(std::time::Duration::ZERO),
    };
    let sources = Sources::new(&process_variable);
    let guard = completiond::telemetry::init(&completiond::telemetry::Settings::default()).unwrap();
    let (config, bare) = match get("--config") {
        Some(file) => (Config::load(std::path::Path::new(&file), &overrides, &sources).unwrap(), None),
        None => completiond::cli::serve::discover(Config::discover(&overrides, &sources).unwrap()).unwrap(),
    };
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    rt.block_on(completiond::cli::serve::serve(config, bare, guard.tracer())).unwrap()
}
