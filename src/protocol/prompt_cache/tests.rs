//! Where marks go, as tables and for any request.

use proptest::prelude::*;

use super::*;
use crate::domain::PromptCacheMode;

const SHORT: Lifetime = Lifetime { length: Duration::from_secs(300), word: "5m" };
const LONG: Lifetime = Lifetime { length: Duration::from_secs(3600), word: "1h" };
const RULES: Rules = Rules { most: 4, short: SHORT, long: LONG, lookback: 20, longest_first: true, least: None };

fn automatic(ttl: Option<u64>) -> PromptCache {
    PromptCache { mode: PromptCacheMode::Automatic, ttl: ttl.map(Duration::from_secs) }
}

/// A prompt in letters: a tool, the system prompt, what is told, what is said; capital: it takes no mark; with a
/// lifetime in seconds behind it: a breakpoint of the caller's.
fn slots(prompt: &str) -> Vec<Slot> {
    let of = |piece: &str| {
        let (letter, ttl) = piece.split_at(1);
        let section = match letter.to_ascii_lowercase().as_str() {
            "t" => Section::Tools,
            "s" => Section::System,
            "u" => Section::Told,
            _ => Section::Said,
        };
        let takes = if letter.to_ascii_lowercase() == letter { Takes::Any } else { Takes::None };
        let breakpoint = (!ttl.is_empty()).then(|| CacheBreakpoint { ttl: ttl.parse().ok().map(Duration::from_secs) });
        Slot { section, breakpoint, bytes: Some(1000), takes }
    };
    prompt.split_whitespace().map(of).collect()
}

/// What is placed, in the same letters: a mark as `-` for the default or as its lifetime, none as `.`.
fn drawn(placed: &Placement) -> String {
    let words = placed.marks.iter().map(|mark| match mark {
        None => ".",
        Some(None) => "-",
        Some(Some(lifetime)) => lifetime.word,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn where_marks_go() {
    let long = format!("s u {} u", "m u ".repeat(15).trim());
    let tail = |marks: &str| format!("- . {}{marks}", ". . ".repeat(14));
    let many_results = format!("s u m {} u", "U ".repeat(25).trim());
    let cases: &[(&str, Option<u64>, String)] = &[
        ("u", None, "-".into()),
        ("u u u", None, ". . -".into()),
        ("s u", None, "- -".into()),
        ("s s u", Some(60), ". 5m 5m".into()),
        ("t t s u", Some(301), ". 1h 1h 1h".into()),
        ("t u m u", None, "- . . -".into()),
        // Nothing takes a mark that cannot.
        ("s u M", None, "- - .".into()),
        ("T S U M", None, ". . . .".into()),
        // Near enough: what the last turn wrote is found from the end.
        (long.as_str(), None, tail(". . -")),
        (many_results.as_str(), None, format!("- - . {}-", ". ".repeat(25))),
        // A breakpoint of the caller's counts, stays, and needs no second one.
        ("s3600 u m u", None, "1h . . -".into()),
        ("t s u- m u m u", None, "- - - . . . -".into()),
        ("t s u1 u1 u1 m u", None, ". . 5m 5m 5m . -".into()),
        ("t s u1 u1 u1 u1 m u", None, ". . 5m 5m 5m 5m . .".into()),
        // The longer ones come first.
        ("t s u3600 m u", None, "1h 1h 1h . -".into()),
        ("t s300 u m u", Some(3600), "1h 5m . . 5m".into()),
        ("t s- u m u", Some(3600), "1h - . . -".into()),
    ];
    for (prompt, ttl, marks) in cases {
        let placed = place(&slots(prompt), &RULES, automatic(*ttl));
        assert_eq!(drawn(&placed), *marks, "{prompt}");
        assert_eq!(placed.left_out, [], "{prompt}");
    }
}

#[test]
fn where_only_the_same_place_is_found_it_is_marked_in_every_turn() {
    let rules = Rules { lookback: 1, longest_first: false, ..RULES };
    let placed = place(&slots("T s u m u m u"), &rules, automatic(Some(3600)));
    assert_eq!(drawn(&placed), ". 1h . . 1h . 1h");
    assert_eq!(drawn(&place(&slots("s300 u3600"), &rules, PromptCache::default())), "5m 1h");
}

#[test]
fn what_of_a_callers_breakpoints_is_left_out_is_told() {
    let off = PromptCache { mode: PromptCacheMode::Off, ttl: None };
    let placed = place(&slots("s- u3600 M1 u1 u1 u1"), &RULES, off);
    assert_eq!(drawn(&placed), "- - . 5m 5m .");
    assert_eq!(placed.left_out, [(1, LeftOut::Ttl), (2, LeftOut::Breakpoint), (5, LeftOut::Breakpoint)]);
    assert!(!placed.is_automatic);
    assert_eq!(placed.ttl, Some(SHORT.length));
    assert_eq!(place(&slots("s u"), &RULES, off), Placement { marks: vec![None, None], ..Placement::default() });
}

#[test]
fn who_writes_marks_in_the_providers_words_decides_about_all() {
    let mut marked = slots("s u u1 u");
    marked[1].takes = Takes::Marked;
    let placed = place(&marked, &RULES, automatic(None));
    assert_eq!(drawn(&placed), ". . 5m .");
}

#[test]
fn what_is_surely_too_short_is_not_marked() {
    let of = |bytes: &[Option<usize>], tools: bool| {
        let first = if tools { Section::Tools } else { Section::System };
        let slot = |(at, bytes): (usize, &Option<usize>)| Slot {
            section: if at == 0 { first } else { Section::Told },
            breakpoint: None,
            bytes: *bytes,
            takes: Takes::Any,
        };
        let slots: Vec<Slot> = bytes.iter().enumerate().map(slot).collect();
        drawn(&place(&slots, &Rules { least: Some(Tokens::new(1024)), ..RULES }, automatic(None)))
    };
    assert_eq!(of(&[Some(100), Some(100)], false), ". .");
    assert_eq!(of(&[Some(100), Some(2000)], false), ". -", "only the longer prefix can be kept");
    assert_eq!(of(&[Some(2000), Some(1)], false), "- -");
    assert_eq!(of(&[Some(100), None], false), ". -", "an image may be any number of tokens");
    assert_eq!(of(&[None, Some(1)], false), "- -");
    assert_eq!(of(&[Some(600), Some(1)], true), "- -", "the provider speaks of tools too");
}

/// A prompt of tools, system prompt and turns, some pieces of which take no mark.
fn prompt() -> impl Strategy<Value = Vec<Slot>> {
    let slot = |section| {
        let ttl = prop::option::weighted(0.05, prop::option::of(1..8000_u64));
        let takes = prop_oneof![6 => Just(Takes::Any), 1 => Just(Takes::Callers), 1 => Just(Takes::None)];
        (ttl, prop::option::weighted(0.9, 0..400_usize), takes).prop_map(move |(ttl, bytes, takes)| {
            let breakpoint = ttl.map(|ttl| CacheBreakpoint { ttl: ttl.map(Duration::from_secs) });
            Slot { section, breakpoint, bytes, takes }
        })
    };
    let many = |section, most: usize| prop::collection::vec(slot(section), 0..most);
    let turn = (many(Section::Told, 9), many(Section::Said, 14)).prop_map(|(told, said)| [told, said].concat());
    (many(Section::Tools, 4), many(Section::System, 4), prop::collection::vec(turn, 0..6), many(Section::Told, 30))
        .prop_map(|(tools, system, turns, last)| [tools, system, turns.concat(), last].concat())
}

fn rules() -> impl Strategy<Value = Rules> {
    let least = prop::option::of((0..3000_u32).prop_map(Tokens::new));
    (0..6_usize, 1..30_usize, any::<bool>(), least).prop_map(|(most, lookback, longest_first, least)| Rules {
        most,
        lookback,
        longest_first,
        least,
        ..RULES
    })
}

fn wish() -> impl Strategy<Value = PromptCache> {
    prop::option::of(1..8000_u64).prop_map(automatic)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn marks_keep_the_providers_rules(slots in prompt(), rules in rules(), wish in wish()) {
        let placed = place(&slots, &rules, wish);
        prop_assert_eq!(placed.marks.len(), slots.len());
        let marked: Vec<(usize, Mark)> =
            placed.marks.iter().enumerate().filter_map(|(at, mark)| Some((at, (*mark)?))).collect();
        prop_assert!(marked.len() <= rules.most);
        for (at, _) in &marked {
            let right = match slots[*at].takes {
                Takes::Any => true,
                Takes::Callers => slots[*at].breakpoint.is_some(),
                Takes::None | Takes::Marked => false,
            };
            prop_assert!(right, "a mark at {at}");
        }
        let lengths: Vec<Duration> = marked.iter().map(|(_, mark)| rules.length(*mark)).collect();
        prop_assert!(!rules.longest_first || lengths.is_sorted_by(|one, next| one >= next));
        prop_assert_eq!(placed.ttl, lengths.iter().max().copied());
        // What the caller marked is there, or told.
        for (at, slot) in slots.iter().enumerate().filter(|(_, slot)| slot.breakpoint.is_some()) {
            let told = placed.left_out.contains(&(at, LeftOut::Breakpoint));
            prop_assert!(placed.marks[at].is_some() != told, "{slot:?}");
        }
        prop_assert_eq!(&placed, &place(&slots, &rules, wish), "the same again");
    }

    #[test]
    fn the_next_turn_finds_what_this_one_wrote(
        slots in prompt(),
        said in prop::collection::vec(0..400_usize, 1..40),
        told in prop::collection::vec(0..400_usize, 1..40),
        lookback in 1..30_usize,
        wish in wish(),
    ) {
        let rules = Rules { lookback, ..RULES };
        let mut slots = slots;
        slots.iter_mut().for_each(|slot| slot.breakpoint = None);
        // A request ends in what the model is told.
        let plain = |section| move |bytes: &usize| Slot { section, breakpoint: None, bytes: Some(*bytes), takes: Takes::Any };
        slots.push(plain(Section::Told)(&1));
        let now = place(&slots, &rules, wish);
        let wrote = now.marks.iter().rposition(Option::is_some).unwrap();
        slots.extend(said.iter().map(plain(Section::Said)));
        slots.extend(told.iter().map(plain(Section::Told)));
        let next = place(&slots, &rules, wish);
        let found = next.marks.iter().enumerate().any(|(at, mark)| mark.is_some() && at >= wrote && at - wrote < lookback);
        prop_assert!(found, "{} then {}", drawn(&now), drawn(&next));
        // What other conversations share stays where it is.
        let shared = |placed: &Placement| -> Vec<Option<Mark>> {
            let is_shared = |slot: &Slot| matches!(slot.section, Section::Tools | Section::System);
            slots.iter().zip(&placed.marks).filter(|(slot, _)| is_shared(slot)).map(|(_, mark)| *mark).collect()
        };
        prop_assert_eq!(shared(&now), shared(&next));
    }
}
