//! Sums in a file: what survives the process.

use completiond::proto::UsageStore;

use crate::process::{Server, refused};
use crate::{by, list, total};

fn settings(folder: &std::path::Path) -> String {
    format!("usage: {{ data_dir: {} }}", folder.display())
}

#[tokio::test]
async fn sums_survive_a_process_that_is_told_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&folder.path().join("data"));
    for round in 1..=3 {
        let server = Server::start(&settings, &[]);
        // Nobody asks between the calls and the signal: what they used is still in memory then.
        server.call(7).await;
        assert!(server.end("TERM").await.success());
        let server = Server::start(&settings, &[]);
        let sums = total(server.admin).await;
        assert_eq!((sums.succeeded, sums.output_tokens), (7 * round, 21 * round));
        assert_eq!(list(server.admin, by(&[])).await.unwrap().store(), UsageStore::File);
        server.end("KILL").await;
    }
}

#[tokio::test]
async fn of_a_process_that_is_killed_at_most_the_last_second_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let (mut made, mut since) = (0, None);
    for _ in 0..3 {
        let server = Server::start(&settings, &[]);
        server.call(5).await;
        let kept = total(server.admin).await;
        // What was shown was kept before.
        server.call(4).await;
        server.end("KILL").await;
        let server = Server::start(&settings, &[]);
        let found = total(server.admin).await;
        assert!((kept.succeeded..=kept.succeeded + 4).contains(&found.succeeded), "{kept:?} {found:?}");
        assert!(found.succeeded > made, "{found:?}");
        assert_eq!(found.output_tokens, found.succeeded * 3, "a call is there as a whole or not at all");
        made = found.succeeded;
        let begun = list(server.admin, by(&[])).await.unwrap().since;
        assert_eq!(*since.get_or_insert(begun), begun, "it is the beginning of the file, not of the process");
        server.end("KILL").await;
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_a_clear_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&settings(folder.path()), &[]);
    let said = refused(&settings(folder.path()));
    assert!(said.contains("usage.data_dir") && said.contains("another process uses it"), "{said}");
    server.end("TERM").await;
    std::fs::write(folder.path().join("usage.redb"), "no sums").unwrap();
    let said = refused(&settings(folder.path()));
    assert!(said.contains("it is damaged") && said.contains("usage.redb"), "{said}");
    let said = refused(&settings(&folder.path().join("usage.redb")));
    assert!(said.contains("cannot be kept in"), "{said}");
}
