//! A process that was started here: what it has used so far, and its end.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::cores::Cores;

/// How long one may take to listen.
const START: Duration = Duration::from_secs(20);
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

/// A process with an address; it ends when this is dropped.
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

    /// The time that all its threads have used, in the system too.
    pub(crate) fn used(&self) -> Result<Duration, Failure> {
        used(self.child.id())
    }

    /// Its memory that is in use, in bytes.
    pub(crate) fn memory(&self) -> Result<f64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no memory of the process")?;
        let kibibytes = line.trim().trim_end_matches("kB").trim().parse::<u32>()?;
        Ok(f64::from(kibibytes) * 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The time that all threads of a process have used, in the system too.
pub(crate) fn used(process: u32) -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in brackets may have spaces; user and system time are the 12th and 13th field behind it.
    let rest = stat.rsplit_once(')').ok_or("no process")?.1;
    let mut fields = rest.split_whitespace().skip(11).map(str::parse::<u32>);
    let mut next = || fields.next().ok_or("no times of the process");
    Ok(TICK * (next()?? + next()??))
}

/// An address that was free a moment ago.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
