//! Sums in a file, over ends that were not orderly too.

use super::*;

fn batch(number: u64, hour: u32) -> Batch {
    let sums = Sums { succeeded: 1, cost: crate::domain::PicoSum::new(1_500_000_000_001), ..Sums::default() };
    let row = |model: &str| (Subject { model: model.to_owned(), ..Subject::default() }, sums);
    Batch { number, hour, rows: vec![row("a"), row("b")] }
}

fn refused(folder: &Path) -> String {
    File::open(folder).map(|_| ()).unwrap_err().to_string()
}

#[tokio::test]
async fn what_was_added_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let (file, last) = File::open(&folder.path().join("made/here")).unwrap();
    assert_eq!(last, 0);
    let since = file.since().await.unwrap();
    for (number, hour) in [(1, 5), (2, 5), (3, 9), (4, 700)] {
        file.add(&batch(number, hour)).await.unwrap();
    }
    drop(file);
    let (file, last) = File::open(&folder.path().join("made/here")).unwrap();
    assert_eq!((last, file.since().await.unwrap()), (4, since));
    assert_eq!(file.hours(0, u32::MAX).await.unwrap(), [5, 9, 700]);
    assert_eq!(file.hours(6, 699).await.unwrap(), [9]);
    let rows = file.rows(5).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|(_, sums)| sums.succeeded == 2 && sums.cost.get() == 3_000_000_000_002), "{rows:?}");
    file.forget(9).await.unwrap();
    assert_eq!(file.hours(0, u32::MAX).await.unwrap(), [9, 700]);
}

#[tokio::test]
async fn a_batch_that_is_handed_in_twice_is_added_once() {
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = File::open(folder.path()).unwrap();
    for number in [1, 1, 2, 2, 1] {
        file.add(&batch(number, 5)).await.unwrap();
    }
    assert_eq!(file.rows(5).await.unwrap()[0].1.succeeded, 2);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(NAME);
    let (file, _) = File::open(folder.path()).unwrap();
    assert!(refused(folder.path()).contains("another process uses it"), "{}", refused(folder.path()));
    for number in 1..50 {
        file.add(&batch(number, u32::try_from(number).unwrap())).await.unwrap();
    }
    drop(file);
    let whole = std::fs::read(&path).unwrap();
    let mut torn = whole.clone();
    torn[..4096].fill(0xA5);
    for damaged in [b"no database at all".to_vec(), vec![7; 100_000], whole[..whole.len() / 2].to_vec(), torn] {
        std::fs::write(&path, damaged).unwrap();
        let told = refused(folder.path());
        assert!(told.contains("it is damaged") && told.contains("usage.redb"), "{told}");
    }
    std::fs::write(&path, whole).unwrap();
    let Opened { database, .. } = open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(FACTS).unwrap().insert("schema", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(refused(folder.path()).contains("it has version 2"), "{}", refused(folder.path()));
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(refused(&file).contains("cannot be kept in"), "{}", refused(&file));
}

#[tokio::test]
async fn after_the_disk_has_failed_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = File::open(folder.path()).unwrap();
    file.add(&batch(1, 5)).await.unwrap();
    let failed = file.aside(|_| Err::<(), _>(redb::Error::Corrupted("a disk".to_owned()))).await;
    assert!(failed.unwrap_err().to_string().contains("a disk"));
    assert!(file.shared.database.lock().unwrap().is_none());
    file.add(&batch(2, 5)).await.unwrap();
    let panicked = file.aside(|_| -> Result<(), redb::Error> { panic!("an assertion") }).await;
    assert!(panicked.is_err());
    file.add(&batch(2, 5)).await.unwrap();
    assert_eq!(file.rows(5).await.unwrap()[0].1.succeeded, 2);
}

#[tokio::test]
async fn a_file_that_is_moved_away_after_a_failure_is_begun_anew_as_ours() {
    let folder = tempfile::tempdir().unwrap();
    let (file, _) = File::open(folder.path()).unwrap();
    file.add(&batch(1, 5)).await.unwrap();
    let failed = file.aside(|_| Err::<(), _>(redb::Error::Corrupted("a disk".to_owned()))).await;
    assert!(failed.is_err());
    std::fs::rename(folder.path().join(NAME), folder.path().join("away")).unwrap();
    assert_eq!(file.hours(0, u32::MAX).await.unwrap(), Vec::<u32>::new(), "it can be read");
    file.add(&batch(2, 6)).await.unwrap();
    drop(file);
    let (file, last) = File::open(folder.path()).unwrap();
    assert_eq!((last, file.hours(0, u32::MAX).await.unwrap()), (2, vec![6]));
}
