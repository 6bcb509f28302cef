//! Files that are read to their end, so that nothing but a regular one is opened: a named pipe or a device may never end, or
//! never even begin. It does not know what they hold.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Why a file was not read. It is said behind the file's path, and quotes nothing of what the file holds.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The system refuses it.
    #[error("cannot be read: {0}")]
    Failed(#[from] io::Error),
    /// It is something else.
    #[error("is {0}; only a regular file, or a link to one, is read here")]
    NoFile(&'static str),
}

/// What a regular file holds, and of one that is larger than `most` one byte more than that.
///
/// # Errors
/// [`Unread`]: the file is none, or cannot be read.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, Unread> {
    // Looked at first: opening may do something to a device, and waits for whoever writes into a pipe.
    is_regular(path.metadata()?.file_type())?;
    let mut bytes = Vec::new();
    open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Opens a regular file. What has taken the file's place since it was looked at is not waited for.
fn open(path: &Path) -> Result<File, Unread> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    is_regular(file.metadata()?.file_type())?;
    Ok(file)
}

fn is_regular(kind: FileType) -> Result<(), Unread> {
    let what = match kind {
        _ if kind.is_file() => return Ok(()),
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a named pipe",
        _ if kind.is_socket() => "a socket",
        _ if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "no file",
    };
    Err(Unread::NoFile(what))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// What `work` returns, which must not wait for anybody.
    fn at_once<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, told) = mpsc::channel();
        std::thread::spawn(move || done.send(work()));
        told.recv_timeout(Duration::from_secs(30)).expect("it waits")
    }

    fn pipe(path: &Path) {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        pipe(&at("pipe"));
        symlink("pipe", at("link")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        for (path, what) in [
            (at("pipe"), "is a named pipe; only a regular file"),
            (at("link"), "is a named pipe;"),
            (at("socket"), "is a socket;"),
            ("/dev/zero".into(), "is a device;"),
            (folder.path().to_owned(), "is a directory;"),
            (at("nothing"), "cannot be read: No such file"),
        ] {
            let told = at_once(move || read(&path, 100)).unwrap_err().to_string();
            assert!(told.starts_with(what), "{what}: {told}");
        }
    }

    #[test]
    fn a_pipe_that_takes_the_place_of_a_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        pipe(&path);
        assert!(matches!(at_once(move || open(&path)), Err(Unread::NoFile("a named pipe"))));
    }

    #[test]
    fn links_to_a_file_are_followed_and_what_is_too_large_can_be_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // As Kubernetes mounts a secret.
        std::fs::create_dir(at("..1")).unwrap();
        std::fs::write(at("..1/key"), "12345").unwrap();
        symlink("..1", at("..data")).unwrap();
        symlink("..data/key", at("key")).unwrap();
        assert_eq!(read(&at("key"), 5).unwrap(), b"12345");
        assert_eq!(read(&at("key"), 3).unwrap(), b"1234");
    }
}
