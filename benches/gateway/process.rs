//! A process that was started here: what it has used so far, and its end.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::cores::Cores;
use crate::training;

/// How long one may take to listen; what is not ours may read a lot before it does.
const START: Duration = Duration::from_secs(120);
/// The system counts used time in these.
const TICK: Duration = Duration::from_millis(10);

/// Which cores it has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// It is measured.
    Measured,
    /// It serves what is measured.
    Beside,
}

/// A process with an address, and what it starts; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// When it was started.
    pub(crate) started: Instant,
}

impl Process {
    /// Starts `command`, which listens at `address`; what it says goes to `log`.
    pub(crate) fn start(
        mut command: Command,
        address: SocketAddr,
        log: &Path,
        (cores, place): (&Cores, Place),
    ) -> Result<Self, Failure> {
        let said = File::create(log)?;
        command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        let name = command.get_program().to_owned();
        let mut spawn = move || (Instant::now(), command.spawn());
        let (started, child) = match place {
            Place::Measured => cores.on_server(spawn)?,
            Place::Beside => spawn(),
        };
        let child = child.map_err(|error| format!("{} cannot be started: {error}", name.display()))?;
        Ok(Self { child, address, started })
    }

    /// Waits until it listens.
    pub(crate) fn listening(mut self) -> Result<Self, Failure> {
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("a server has ended before it listened: {status}").into());
            }
            if self.started.elapsed() > START {
                return Err("a server does not listen".into());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(self)
    }

    /// The time that all its threads have used, in the system too, and that of the processes it has started.
    pub(crate) fn used(&self) -> Result<Duration, Failure> {
        let process = self.child.id();
        let times = Times::of(process)?;
        // Those that have ended count with their parent, so that nothing is lost in between.
        let started = descendants(process).into_iter().filter_map(|process| Times::of(process).ok());
        Ok(started.fold(times.own + times.ended, |sum, times| sum + times.own + times.ended))
    }

    /// Its memory that is in use, in bytes, and that of the processes it has started.
    pub(crate) fn memory(&self) -> Result<f64, Failure> {
        let process = self.child.id();
        Ok(descendants(process).into_iter().filter_map(|process| memory(process).ok()).sum::<f64>() + memory(process)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if training::is_on() {
            training::end(&mut self.child);
        }
        let started = descendants(self.child.id());
        if !started.is_empty() {
            let started = started.iter().map(u32::to_string);
            let _ = Command::new("kill").arg("-KILL").args(started).stderr(Stdio::null()).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// All its threads, in the system too.
    pub(crate) own: Duration,
    /// Those it has started and that have ended.
    pub(crate) ended: Duration,
}

impl Times {
    /// Until now.
    pub(crate) fn of(process: u32) -> Result<Self, Failure> {
        let fields = stat(process)?;
        let ticks = |at: usize| Ok::<_, Failure>(fields.get(at).ok_or("no times of the process")?.parse::<u32>()?);
        Ok(Self { own: TICK * (ticks(11)? + ticks(12)?), ended: TICK * (ticks(13)? + ticks(14)?) })
    }
}

/// What the system says of a process, behind its name in brackets, which may have spaces: the parent is the second, the
/// times are the 12th to the 15th.
fn stat(process: u32) -> Result<Vec<String>, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let rest = stat.rsplit_once(')').ok_or("no process")?.1;
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

/// What a process has started, and what these have.
fn descendants(process: u32) -> Vec<u32> {
    let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
    let all = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> =
        all.filter_map(|process| Some((process, stat(process).ok()?.get(1)?.parse().ok()?))).collect();
    let (mut found, mut asked) = (Vec::new(), vec![process]);
    while let Some(parent) = asked.pop() {
        let children: Vec<u32> = parents.iter().filter(|(_, of)| *of == parent).map(|(process, _)| *process).collect();
        found.extend(&children);
        asked.extend(children);
    }
    found
}

fn memory(process: u32) -> Result<f64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no memory of the process")?;
    let kibibytes = line.trim().trim_end_matches("kB").trim().parse::<u32>()?;
    Ok(f64::from(kibibytes) * 1024.0)
}

/// An address that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
