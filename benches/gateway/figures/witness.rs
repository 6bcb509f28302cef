//! The same calls by somebody else's load: ghz, which is no part of this benchmark, calls the reference and the gateway as fast as
//! it goes and at a fixed rate, and what it says stands beside what we say. The server's CPU is read from the system, as ever.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use prost::Message as _;
use serde_json::Value;

use super::latency::EVERYONE;
use super::{CALLERS, GATEWAY, servers, turns};
use crate::Failure;
use crate::measuring::{Plan, Stage};
use crate::process::{Process, Times};
use crate::production::CALLER_KEY;
use crate::report::{REFERENCE, Report, Unit};
use crate::samples::{micros, real};
use crate::shapes::{CALL, Delivery, Wire, to_gateway, to_upstream};

/// Connections to a server, as our own load has.
const CONNECTIONS: &str = "4";

/// Whom ghz calls, and by which method of which contract.
struct Witnessed<'a> {
    who: &'static str,
    process: &'a Process,
    contract: [&'static str; 2],
    method: &'static str,
    message: PathBuf,
}

/// What ghz says of a run, and what the system does.
struct Testimony {
    rate: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
    load: f64,
}

pub(super) async fn measure(stage: &Stage, plan: &Plan, report: &mut Report) -> Result<(), Failure> {
    let servers = servers(stage)?;
    let all = witnessed(stage, &servers)?;
    let mut least = f64::INFINITY;
    for one in &all {
        one.ghz(stage, plan.time / 2, None)?;
        least = least.min(one.ghz(stage, plan.time, None)?.rate);
    }
    let rate = (least / 2.0).round();
    report.push("witness: half load", Unit::PerSecond, EVERYONE, rate);
    for round in 0..plan.rounds {
        for one in turns(round, all.len()).into_iter().filter_map(|turn| all.get(turn)) {
            let fast = one.ghz(stage, plan.time, None)?;
            report.push("witness: CPU per call", Unit::Micros, one.who, fast.cpu);
            report.push("witness: calls", Unit::PerSecond, one.who, fast.rate);
            report.push("witness: load's cores in use, calls", Unit::Percent, one.who, fast.load);
            let even = one.ghz(stage, plan.delays, Some(rate))?;
            report.push("witness: CPU per call at half load", Unit::Micros, one.who, even.cpu);
            report.push("witness: calls at half load", Unit::PerSecond, one.who, even.rate);
            report.push("witness: latency at half load, p50", Unit::Micros, one.who, even.p50);
            report.push("witness: latency at half load, p99", Unit::Micros, one.who, even.p99);
        }
    }
    Ok(())
}

fn witnessed<'a>(stage: &Stage, [reference, gateway]: &'a [Process; 2]) -> Result<[Witnessed<'a>; 2], Failure> {
    let message = |name: &str, bytes: Vec<u8>| {
        let file = stage.folder().join(name);
        std::fs::write(&file, bytes)?;
        Ok::<_, Failure>(file)
    };
    let wrapped = to_upstream(Wire::Chat, CALL, Delivery::Whole).encode_to_vec();
    Ok([
        Witnessed {
            who: REFERENCE,
            process: reference,
            contract: ["--proto", concat!(env!("CARGO_MANIFEST_DIR"), "/benches/gateway/witness.proto")],
            method: "reference.Call",
            message: message("reference.bin", wrapped)?,
        },
        Witnessed {
            who: GATEWAY,
            process: gateway,
            contract: ["--protoset", concat!(env!("CARGO_MANIFEST_DIR"), "/proto/baseline.binpb")],
            method: "completiond.v1.CompletionService.Complete",
            message: message("gateway.bin", to_gateway(Wire::Chat, CALL).to_vec())?,
        },
    ])
}

impl Witnessed<'_> {
    /// Calls for `time`; at a rate, whoever waits, or as fast as it goes.
    fn ghz(&self, stage: &Stage, time: Duration, rate: Option<f64>) -> Result<Testimony, Failure> {
        let mut command = Command::new(stage.ghz().ok_or("no ghz")?);
        command.args(["--insecure", "--format", "json", "--duration-stop", "wait", "--timeout", "20s"]);
        command.args(["--connections", CONNECTIONS, "--concurrency"]).arg(CALLERS.to_string());
        command.arg("--cpus").arg(stage.cores().load().to_string());
        command.arg("--duration").arg(format!("{}ms", time.as_millis()));
        command.arg("--metadata").arg(format!(r#"{{"authorization":"Bearer {CALLER_KEY}"}}"#));
        command.args(self.contract).arg("--call").arg(self.method).arg("--binary-file").arg(&self.message);
        if let Some(rate) = rate {
            command.arg("--async").arg("--rps").arg(format!("{rate:.0}"));
        }
        let load = || {
            let own = Times::of(std::process::id())?;
            Ok::<_, Failure>(stage.upstream().used()? + own.own + own.ended)
        };
        let (before, load_before) = (self.process.used()?, load()?);
        let done = command.arg(self.process.address.to_string()).stderr(Stdio::inherit()).output()?;
        let (used, load_used) = (self.process.used()? - before, load()? - load_before);
        if !done.status.success() {
            return Err(format!("ghz ended: {}", done.status).into());
        }
        let said = serde_json::from_slice(&done.stdout)?;
        testimony(&said, (used, load_used), stage).map_err(|error| format!("{}: {error}", self.who).into())
    }
}

fn testimony(said: &Value, (used, load): (Duration, Duration), stage: &Stage) -> Result<Testimony, Failure> {
    let number = |field: &str| said.get(field).and_then(Value::as_f64).ok_or(format!("ghz does not say {field}"));
    let calls = number("count")?;
    let answered = said.pointer("/statusCodeDistribution/OK").and_then(Value::as_f64).unwrap_or(0.0);
    if answered < calls || calls < 1.0 {
        let errors = said.get("errorDistribution").map(Value::to_string).unwrap_or_default();
        return Err(format!("of {calls} calls {answered} were answered: {errors}").into());
    }
    let below = |share: f64| {
        let all = said.get("latencyDistribution").and_then(Value::as_array)?;
        let one = all.iter().find(|one| one.get("percentage").and_then(Value::as_f64) == Some(share))?;
        Some(one.get("latency")?.as_f64()? / 1e3)
    };
    let took = number("total")? / 1e9;
    Ok(Testimony {
        rate: number("rps")?,
        p50: below(50.0).unwrap_or(f64::NAN),
        p99: below(99.0).unwrap_or(f64::NAN),
        cpu: micros(used) / calls,
        load: 100.0 * load.as_secs_f64() / took / real(stage.cores().load()),
    })
}
