//! What the table looks like, held against files in `tests/pool/`, and how it behaves while it is watched.
//!
//! `UPDATE_EXPECTED=1` writes the files anew: read the difference before you keep it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::draw::draw;
use super::live::{Answer, Watch, show};
use super::table::Table;
use super::view::{EndpointView, Failure, Left, PoolView, Standing};
use crate::cli::watch::screen::{Input, Scroll};
use crate::cli::watch::{Freshness, Share};

const SERVER: &str = "127.0.0.1:50052";

fn endpoint(name: &str) -> EndpointView {
    EndpointView {
        name: name.to_owned(),
        standing: Standing::Ok,
        in_flight: 3,
        limit: None,
        first_event: Some(Duration::from_millis(420)),
        sent: 1284,
        failed: 0,
        requests: None,
        tokens: None,
        failure: None,
    }
}

fn failure(reason: &str, seconds: u64) -> Option<Failure> {
    Some(Failure { reason: reason.to_owned(), age: Duration::from_secs(seconds) })
}

fn left(remaining: u64, whole: u64) -> Option<Left> {
    Some(Left { remaining, share: Share::of_count(remaining, whole) })
}

fn pool(endpoints: Vec<EndpointView>) -> PoolView {
    let in_flight = endpoints.iter().map(|endpoint| endpoint.in_flight).sum();
    PoolView {
        calls: in_flight,
        callers: 2,
        providers: 5,
        bytes: 1_310_720,
        retries: Share::of(100.0, 100.0),
        endpoints,
    }
}

fn well() -> PoolView {
    let first = EndpointView {
        limit: Some(16),
        requests: left(3_960, 4_000),
        tokens: left(310_000, 400_000),
        ..endpoint("main/large-5")
    };
    let second = EndpointView { in_flight: 0, sent: 0, first_event: None, ..endpoint("other/small-mini") };
    pool(vec![first, second])
}

/// One of each state.
fn troubled() -> PoolView {
    let mut view = well();
    view.retries = Share::of(21.0, 100.0);
    let remaining = Some(Duration::from_millis(1_250));
    view.endpoints.extend([
        EndpointView {
            standing: Standing::Open { remaining },
            failed: 37,
            failure: failure("unavailable", 2),
            ..endpoint("third/large-5")
        },
        EndpointView {
            standing: Standing::Held { remaining: Duration::from_secs(12) },
            tokens: left(0, 400_000),
            failed: 1,
            failure: failure("rate limited", 18),
            ..endpoint("fourth/large-5")
        },
        EndpointView { standing: Standing::Probing, in_flight: 1, ..endpoint("fifth/large-5") },
        EndpointView { standing: Standing::Full, in_flight: 4, limit: Some(4), ..endpoint("sixth/large-5") },
        EndpointView {
            standing: Standing::KeyRefused,
            failed: 1,
            failure: failure("credentials refused", 5_400),
            ..endpoint("seventh/large-5")
        },
        EndpointView {
            standing: Standing::NoCredit,
            failed: 1,
            failure: failure("quota exhausted", 61),
            requests: Some(Left { remaining: 17, share: None }),
            ..endpoint("eighth/a-model-with-a-name-that-goes-on-and-on")
        },
    ]);
    view
}

fn many() -> PoolView {
    pool((1..=40).map(|number| endpoint(&format!("main/model-{number:02}"))).collect())
}

fn screen(view: &PoolView, freshness: &Freshness, top: usize, columns: u16, lines: u16) -> Buffer {
    let area = Rect::new(0, 0, columns, lines);
    let mut buffer = Buffer::empty(area);
    draw(&Table::of(view, SERVER, freshness, usize::from(columns)), top, area, &mut buffer);
    buffer
}

fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let lines = buffer.content.chunks(width).map(|cells| cells.iter().map(|cell| cell.symbol()).collect::<String>());
    lines.map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pool").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(actual, expected, "{}: got\n{actual}", path.display());
}

fn check_screen(name: &str, view: &PoolView, top: usize, columns: u16, lines: u16) {
    check(name, &text(&screen(view, &Freshness::Fresh, top, columns, lines)));
}

#[test]
fn the_table_shows_a_pool_that_is_well() {
    check_screen("well", &well(), 0, 130, 8);
}

#[test]
fn the_table_shows_every_state_of_an_endpoint() {
    check_screen("troubled", &troubled(), 0, 140, 14);
}

#[test]
fn a_narrow_terminal_shows_what_matters_most() {
    check_screen("columns_100", &troubled(), 0, 100, 14);
    check_screen("columns_80", &troubled(), 0, 80, 14);
    check_screen("columns_60", &troubled(), 0, 60, 14);
    check_screen("columns_30", &troubled(), 0, 30, 14);
}

#[test]
fn the_readme_shows_the_table_as_it_is() {
    let named = |name: &str| EndpointView { limit: Some(32), failed: 4, ..endpoint(name) };
    let mut view = pool(vec![
        EndpointView { tokens: left(310_000, 400_000), failure: failure("timeout", 2_520), ..named("main/large-5") },
        EndpointView {
            standing: Standing::Held { remaining: Duration::from_secs(12) },
            in_flight: 0,
            tokens: left(900, 400_000),
            failure: failure("rate limited", 18),
            ..named("second/large-5")
        },
        EndpointView {
            standing: Standing::Open { remaining: None },
            in_flight: 0,
            first_event: Some(Duration::from_millis(2_900)),
            failed: 61,
            failure: failure("unavailable", 2),
            ..named("backup/large-5")
        },
    ]);
    view.retries = Share::of(88.0, 100.0);
    let shown = text(&screen(&view, &Freshness::Fresh, 0, 105, 9));
    check("readme", &shown);
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    assert!(readme.contains(&format!("```text\n{shown}```\n")), "README.md should show\n{shown}");
}

#[test]
fn many_endpoints_scroll_and_nothing_is_scrolled_to_beyond_the_last() {
    check_screen("many_first", &many(), 0, 80, 12);
    check_screen("many_last", &many(), 1000, 80, 12);
}

#[test]
fn figures_that_are_old_say_so_and_have_no_colour() {
    let stale = Freshness::Stale { age: Duration::from_secs(17), why: "Connection refused (os error 111)".to_owned() };
    let buffer = screen(&troubled(), &stale, 0, 130, 14);
    check("stale", &text(&buffer));
    check("stale_60", &text(&screen(&troubled(), &stale, 0, 60, 14)));
    assert!(buffer[(0, 0)].fg == Color::Red);
    let rows = &buffer.content[130 * 4..130 * 12];
    assert!(rows.iter().all(|cell| cell.fg == Color::Reset), "an old state has a colour");
}

#[test]
fn a_pool_without_endpoints_says_so() {
    check_screen("empty", &pool(Vec::new()), 0, 80, 6);
}

#[test]
fn states_have_the_colours_of_a_traffic_light() {
    let buffer = screen(&troubled(), &Freshness::Fresh, 0, 140, 14);
    let shown = text(&buffer);
    let color = |word: &str| {
        let (y, line) = shown.lines().enumerate().find(|(y, line)| *y > 3 && line.contains(word)).unwrap();
        let x = line[..line.find(word).unwrap()].chars().count();
        buffer[(u16::try_from(x).unwrap(), u16::try_from(y).unwrap())].fg
    };
    assert_eq!(color("ok"), Color::Green);
    for word in ["full", "probing", "held"] {
        assert_eq!(color(word), Color::Yellow, "{word}");
    }
    for word in ["open", "key refused", "no credit"] {
        assert_eq!(color(word), Color::Red, "{word}");
    }
    let title = shown.lines().nth(3).unwrap();
    assert!(title.starts_with("ENDPOINT") && buffer[(0, 3)].modifier.contains(Modifier::BOLD));
}

#[test]
fn a_screen_of_any_size_can_be_drawn_on() {
    let stale = Freshness::Stale { age: Duration::from_secs(1), why: String::new() };
    for columns in [1, 2, 7, 20, 59, 200] {
        for lines in 1..12 {
            screen(&troubled(), &Freshness::Fresh, 0, columns, lines);
            screen(&many(), &stale, 7, columns, lines);
        }
    }
}

#[test]
fn plain_text_has_the_same_cells_and_all_columns() {
    let table = Table::of(&troubled(), SERVER, &Freshness::Fresh, usize::MAX);
    let coloured = table.text();
    let plain = anstream::adapter::strip_str(&coloured).to_string();
    check("plain", &plain);
    assert!(coloured.contains("\u{1b}[32mok"), "{coloured:?}");
    assert!(plain.lines().all(|line| line == line.trim_end()));
}

/// What is seen after the keys of `typed` and the answers of `told`, and after `waited`; then q is pressed.
async fn watched(told: Vec<Answer>, typed: &[Input], waited: Duration) -> String {
    let mut terminal = Terminal::new(TestBackend::new(100, 10)).unwrap();
    let (keys, inputs) = mpsc::channel(16);
    for key in typed {
        keys.send(*key).await.unwrap();
    }
    let told = RefCell::new(VecDeque::from(told));
    let ask = async || {
        let answer = told.borrow_mut().pop_front();
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    };
    let watch = Watch::new(SERVER, many(), Duration::from_secs(1), Instant::now());
    let quit = async {
        tokio::time::sleep(waited).await;
        keys.send(Input::Quit).await.unwrap();
        // The channel stays open: it is the key that ends the table.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        shown = show(&mut terminal, inputs, watch, ask) => shown.unwrap(),
        () = quit => {}
    }
    text(terminal.backend().buffer())
}

#[tokio::test(start_paused = true)]
async fn the_table_is_asked_for_at_every_interval_and_left_with_a_key() {
    let shown = watched(vec![Ok(many()), Ok(well())], &[], Duration::from_millis(2_500)).await;
    assert!(shown.contains("other/small-mini") && !shown.contains("does not answer"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_is_waited_for_and_its_figures_grow_old() {
    let gone = || Err("Connection refused".to_owned());
    let shown = watched(vec![Ok(many()), gone(), gone(), gone()], &[], Duration::from_millis(4_500)).await;
    let first = shown.lines().next().unwrap();
    assert_eq!(first, "127.0.0.1:50052 does not answer: figures of 3.0 s ago, still trying (Connection refused)");
    assert!(shown.contains("main/model-01"), "{shown}");
    let shown = watched(vec![gone(), gone(), Ok(many())], &[], Duration::from_millis(3_500)).await;
    assert!(shown.starts_with("pool of 127.0.0.1:50052"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_told_before_it_is_given_up() {
    let shown = watched(Vec::new(), &[], Duration::from_millis(2_500)).await;
    assert!(shown.starts_with("pool of"), "{shown}");
    let shown = watched(Vec::new(), &[], Duration::from_millis(4_500)).await;
    assert!(shown.starts_with("127.0.0.1:50052 does not answer: figures of 4.0 s ago"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn keys_scroll_within_the_rows() {
    let seen = async |keys: &[Scroll]| {
        let keys: Vec<Input> = keys.iter().map(|key| Input::Scroll(*key)).collect();
        let shown = watched(Vec::new(), &keys, Duration::from_millis(10)).await;
        shown.lines().last().unwrap().rsplit("· ").next().unwrap().to_owned()
    };
    assert_eq!(seen(&[]).await, "1 to 5 of 40");
    assert_eq!(seen(&[Scroll::Down, Scroll::Down, Scroll::Up]).await, "2 to 6 of 40");
    assert_eq!(seen(&[Scroll::PageDown]).await, "6 to 10 of 40");
    assert_eq!(seen(&[Scroll::Bottom, Scroll::Down]).await, "36 to 40 of 40");
    assert_eq!(seen(&[Scroll::Bottom, Scroll::PageUp, Scroll::Top, Scroll::Up]).await, "1 to 5 of 40");
}
