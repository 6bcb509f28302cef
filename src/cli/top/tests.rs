//! What the picture looks like, held against files in `tests/top/` and `docs/top.svg`, and how it behaves while it is watched.
//!
//! `UPDATE_EXPECTED=1` writes the files anew: read the difference before you keep it.

mod read;
mod state;
mod svg;
mod told;

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

use super::draw::{Below, draw};
use super::history::History;
use super::live::{Answer, Watch, show};
use super::page::{Chosen, Known, Page};
use super::server::Scrape;
use super::snapshot::{Method, Process, Snapshot};
use super::tables::Tab;
use super::view::{Continuity, View};
use crate::cli::watch::Freshness;
use crate::cli::watch::screen::{Input, Other, Scroll};

const SERVER: &str = "127.0.0.1:50053";

/// What a picture is made of.
struct Scene {
    view: View,
    history: History,
    freshness: Freshness,
    chosen: Chosen,
    below: Below,
}

impl Scene {
    fn new() -> Self {
        Self {
            view: state::view(),
            history: state::history(),
            freshness: Freshness::Fresh,
            chosen: Chosen::new(),
            below: Below::Table { top: 0 },
        }
    }

    fn showing(tab: Tab) -> Self {
        Self { chosen: Chosen { tab, ..Chosen::new() }, ..Self::new() }
    }

    fn known(&self) -> Known<'_> {
        Known {
            server: SERVER,
            view: &self.view,
            history: &self.history,
            past: Duration::from_secs(180),
            freshness: &self.freshness,
            uptime: Some(Duration::from_secs(280_000)),
        }
    }

    fn screen(&self, columns: u16, lines: u16) -> Buffer {
        let area = Rect::new(0, 0, columns, lines);
        let mut buffer = Buffer::empty(area);
        let page = Page::of(&self.known(), &self.chosen, Some(usize::from(columns)));
        draw(&page, self.below, area, &mut buffer);
        buffer
    }
}

fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let lines = buffer.content.chunks(width).map(|cells| cells.iter().map(|cell| cell.symbol()).collect::<String>());
    lines.map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn check(path: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(actual, expected, "{}: got\n{actual}", path.display());
}

fn check_screen(name: &str, scene: &Scene, columns: u16, lines: u16) {
    check(&format!("tests/top/{name}.txt"), &text(&scene.screen(columns, lines)));
}

#[test]
fn wide_and_narrow_and_low_terminals_show_what_matters_most() {
    check_screen("screen_120x40", &Scene::new(), 120, 40);
    check_screen("screen_80x24", &Scene::new(), 80, 24);
    check_screen("screen_60x20", &Scene::new(), 60, 20);
    check_screen("screen_40x10", &Scene::new(), 40, 10);
}

#[test]
fn each_table_has_its_columns() {
    check_screen("endpoints_120x40", &Scene::showing(Tab::Endpoints), 120, 40);
    check_screen("endpoints_60x20", &Scene::showing(Tab::Endpoints), 60, 20);
    check_screen("rpcs_120x40", &Scene::showing(Tab::Methods), 120, 40);
    check_screen("rpcs_60x20", &Scene::showing(Tab::Methods), 60, 20);
}

#[test]
fn the_picture_of_the_docs_is_drawn_by_this_code() {
    let picture = svg::picture(&Scene::showing(Tab::Endpoints).screen(112, 24), "completiond top");
    check("docs/top.svg", &picture);
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/top.md")).unwrap();
    assert!(page.contains("](top.svg)"), "docs/top.md should show docs/top.svg");
}

#[test]
fn the_docs_have_every_field_of_the_json() {
    fn fields(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            // By status: these are no names of ours.
            serde_json::Value::Object(map) if map.contains_key("OK") => {}
            serde_json::Value::Object(map) => map.iter().for_each(|(name, value)| {
                found.push(name.clone());
                fields(value, found);
            }),
            serde_json::Value::Array(rows) => rows.iter().for_each(|row| fields(row, found)),
            _ => {}
        }
    }
    let mut found = vec!["time".to_owned(), "server".to_owned()];
    fields(&serde_json::to_value(state::view()).unwrap(), &mut found);
    assert!(found.len() > 100, "{found:?}");
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/top.md")).unwrap();
    let missing: Vec<_> = found.into_iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/top.md does not say what these are: {missing:?}");
}

#[test]
fn help_fits_on_a_small_screen() {
    let scene = Scene { below: Below::Help, ..Scene::new() };
    check_screen("help_60x20", &scene, 60, 20);
}

#[test]
fn without_a_second_scrape_rates_are_not_known_and_nothing_is_made_up() {
    let mut scene = Scene { history: History::default(), ..Scene::new() };
    scene.view = super::between::view(&Snapshot::default(), None);
    check_screen("first_80x24", &scene, 80, 24);
}

#[test]
fn figures_that_are_old_say_so_and_have_no_colour() {
    let why = "Connection refused (os error 111)".to_owned();
    let stale = Freshness::Stale { age: Duration::from_secs(17), why };
    let scene = Scene { freshness: stale, ..Scene::new() };
    check_screen("stale_80x24", &scene, 80, 24);
    let buffer = scene.screen(80, 24);
    assert_eq!(buffer[(0, 0)].fg, Color::Red);
    // Figures, between the first line and the tabs.
    let figures = &buffer.content[80..80 * 12];
    assert!(figures.iter().all(|cell| cell.fg == Color::Reset), "an old figure has a colour");
}

#[test]
fn a_restart_and_a_held_picture_stand_in_the_first_line() {
    let mut scene = Scene::new();
    scene.view.continuity = Continuity::Restarted;
    scene.chosen.paused = Some(Duration::from_secs(12));
    let shown = text(&scene.screen(100, 24));
    let first = shown.lines().next().unwrap();
    assert!(
        first.starts_with("completiond 0.1.0 at 127.0.0.1:50053 · paused for 12 s · restarted · the last 10 s"),
        "{first}"
    );
    scene.view.continuity = Continuity::AnotherServer;
    assert!(text(&scene.screen(100, 24)).contains("another server answers"));
}

#[test]
fn what_is_bad_is_red_and_what_is_chosen_is_seen() {
    let scene = Scene::showing(Tab::Endpoints);
    let buffer = scene.screen(120, 40);
    let shown = text(&buffer);
    let at = |word: &str| {
        let (y, line) = shown.lines().enumerate().find(|(_, line)| line.contains(word)).unwrap();
        let x = line[..line.find(word).unwrap()].chars().count();
        &buffer[(u16::try_from(x).unwrap(), u16::try_from(y).unwrap())]
    };
    assert_eq!(at("closed").fg, Color::Green);
    assert_eq!(at("probing").fg, Color::Yellow);
    assert_eq!(at("open").fg, Color::Red);
    assert_eq!(at("ATTEMPTS/S  FAILED").fg, Color::Cyan);
    assert!(at("2 endpoints").modifier.contains(Modifier::REVERSED));
    assert!(!at("1 models").modifier.contains(Modifier::REVERSED));
}

#[test]
fn a_screen_of_any_size_can_be_drawn_on() {
    for tab in Tab::ALL {
        for columns in [1, 2, 7, 20, 59, 200, 400] {
            for lines in 1..30 {
                Scene::showing(tab).screen(columns, lines);
            }
        }
    }
}

#[test]
fn plain_text_has_all_tables_and_no_past() {
    let scene = Scene { history: History::default(), ..Scene::new() };
    let coloured = Page::text(&scene.known(), None);
    let plain = anstream::adapter::strip_str(&coloured).to_string();
    check("tests/top/plain.txt", &plain);
    assert!(coloured.contains("\u{1b}[31mopen"), "{coloured:?}");
    assert!(plain.lines().all(|line| line == line.trim_end()));
}

#[test]
fn a_table_is_sorted_by_what_was_chosen() {
    let first = |tab: Tab, moved: isize| {
        let mut chosen = Chosen { tab, ..Chosen::new() };
        chosen.sort(moved);
        let column = chosen.column();
        let rows = tab.rows(&state::view(), column);
        (tab.columns()[column].title, rows[0][0].0.clone())
    };
    assert_eq!(first(Tab::Models, 0), ("CALLS/S", "smart".to_owned()));
    assert_eq!(first(Tab::Models, 1), ("FAILED", "extract".to_owned()));
    assert_eq!(first(Tab::Models, -9), ("MODEL", "(default)".to_owned()));
    assert_eq!(first(Tab::Endpoints, 2), ("BREAKER", "backup/large-5".to_owned()));
    assert_eq!(first(Tab::Endpoints, 8), ("TOKENS LEFT", "second/large-5".to_owned()));
    assert_eq!(first(Tab::Methods, 99), ("SINCE START", "StreamComplete".to_owned()));
}

/// A scrape of a server that has done so many calls.
fn scrape(calls: f64) -> Scrape {
    let method = Method { statuses: [("OK".to_owned(), calls)].into(), ..Method::default() };
    let process = Process { version: Some("0.1.0".to_owned()), ..Process::default() };
    let snapshot = Snapshot { methods: [("Complete".to_owned(), method)].into(), process, ..Snapshot::default() };
    Scrape { snapshot, fingerprint: calls.to_bits() }
}

/// What is seen after the keys of `typed` and the answers of `answers`, one each second, and after `waited`.
async fn watched(answers: Vec<Answer>, typed: &[(u64, Input)], waited: Duration) -> String {
    let mut terminal = Terminal::new(TestBackend::new(100, 24)).unwrap();
    let (keys, inputs) = mpsc::channel(16);
    let answers = RefCell::new(VecDeque::from(answers));
    let ask = async || {
        let answer = answers.borrow_mut().pop_front();
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    };
    let pace = (Duration::from_secs(1), Duration::from_secs(10));
    let watch = Watch::new(SERVER, scrape(0.0), pace, Instant::now());
    let type_and_quit = async {
        let began = Instant::now();
        for (millis, key) in typed {
            tokio::time::sleep_until(began + Duration::from_millis(*millis)).await;
            keys.send(*key).await.unwrap();
        }
        tokio::time::sleep_until(began + waited).await;
        keys.send(Input::Quit).await.unwrap();
        // The channel stays open: it is the key that ends the picture.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        shown = show(&mut terminal, inputs, watch, ask) => shown.unwrap(),
        () = type_and_quit => {}
    }
    text(terminal.backend().buffer())
}

fn key(letter: char) -> Input {
    Input::Other(Other::Letter(letter))
}

fn line<'a>(shown: &'a str, label: &str) -> &'a str {
    shown.lines().find(|line| line.starts_with(label)).unwrap_or_else(|| panic!("no {label} in\n{shown}"))
}

#[tokio::test(start_paused = true)]
async fn rates_are_shown_from_the_second_scrape_on_and_the_picture_is_left_with_a_key() {
    let shown = watched(Vec::new(), &[], Duration::from_millis(500)).await;
    assert!(line(&shown, "calls").starts_with("calls     –/s") && shown.contains("rates follow"), "{shown}");
    let shown = watched(vec![Ok(scrape(7.0)), Ok(scrape(40.0))], &[], Duration::from_millis(2_500)).await;
    assert!(line(&shown, "calls").starts_with("calls     20.0/s"), "{shown}");
    assert!(line(&shown, "completiond").contains("the last 2.0 s"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_is_waited_for_and_its_figures_stay() {
    let gone = || Err("Connection refused".to_owned());
    let answers = || vec![Ok(scrape(7.0)), gone(), gone(), gone(), Ok(scrape(15.0))];
    let shown = watched(answers(), &[], Duration::from_millis(4_500)).await;
    let first = shown.lines().next().unwrap();
    assert_eq!(first, "127.0.0.1:50053 does not answer: figures of 3.0 s ago, still trying (Connection refused)");
    assert!(line(&shown, "calls").starts_with("calls     7.0/s"), "{shown}");
    let shown = watched(answers(), &[], Duration::from_millis(5_500)).await;
    assert!(
        shown.starts_with("completiond 0.1.0 at") && line(&shown, "calls").starts_with("calls     3.0/s"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn keys_choose_tables_sort_them_explain_and_hold() {
    let seen = async |keys: &[Input]| {
        let keys: Vec<(u64, Input)> = keys.iter().map(|key| (1_500, *key)).collect();
        watched(vec![Ok(scrape(7.0)), Ok(scrape(40.0))], &keys, Duration::from_millis(3_500)).await
    };
    let next = Input::Other(Other::Next);
    let right = Input::Other(Other::Right);
    assert!(seen(&[]).await.contains("sorted by CALLS/S"));
    assert!(seen(&[next, right]).await.contains("sorted by FAILED"));
    assert!(seen(&[next]).await.contains("ENDPOINT") && seen(&[next, next, next]).await.contains("MODEL"));
    assert!(seen(&[key('3')]).await.contains("RPC") && seen(&[Input::Other(Other::Previous)]).await.contains("RPC"));
    assert!(seen(&[key('?')]).await.contains("hold the picture"));
    assert!(!seen(&[key('?'), key('?')]).await.contains("hold the picture"));
    let held = seen(&[key('p')]).await;
    assert!(held.contains("paused for 1.5 s") && line(&held, "calls").starts_with("calls     7.0/s"), "{held}");
    let again = seen(&[key('p'), key('p')]).await;
    assert!(!again.contains("paused") && line(&again, "calls").starts_with("calls     20.0/s"), "{again}");
    // More keys than there are rows or columns do no harm.
    let scrolled = seen(&[Input::Scroll(Scroll::Bottom), Input::Scroll(Scroll::Down), key('x')]).await;
    assert!(scrolled.contains("MODEL"), "{scrolled}");
}
