//! "Did you mean": the known names that are near to one that is not known.

/// The known names near to `name`, nearest first, at most three. Case and separators count little.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    /// Names less alike than this are other words, not slips.
    const ALIKE: f64 = 0.7;
    /// How many are worth reading.
    const SHOWN: usize = 3;

    let plain = |text: &str| text.to_lowercase().replace(['-', '.', ' '], "_");
    let wanted = plain(name);
    let mut near: Vec<(f64, &str)> = known
        .into_iter()
        .map(|known| (likeness(&wanted, &plain(known)), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    near.dedup_by(|a, b| a.1 == b.1);
    near.into_iter().take(SHOWN).map(|(_, known)| known).collect()
}

/// How alike two names are, 0 to 1.
fn likeness(a: &str, b: &str) -> f64 {
    // A name that lacks a word or has one too many is near whatever its length says.
    if a.len().min(b.len()) >= 3 && (a.contains(b) || b.contains(a)) {
        return 0.9;
    }
    strsim::normalized_damerau_levenshtein(a, b).max(strsim::jaro_winkler(a, b) - 0.15)
}

/// A choice of names as words: `` `a`, `b` or `c` ``.
pub(super) fn either<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// As many names as are worth reading, and how many more there are.
pub fn some_of(names: &[impl AsRef<str>]) -> String {
    /// How many that is.
    const SHOWN: usize = 10;

    let shown = names.iter().take(SHOWN).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What to say about an unknown name: the near ones, else all that are known.
pub(super) fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let near = nearest(name, known.clone());
    if near.is_empty() {
        return format!("known: {}", either(known));
    }
    format!("did you mean {}?", either(near))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        let known = ["listen", "admin_listen", "ops_listen", "default_model", "api_key", "base_url"];
        let cases: &[(&str, &[&str])] = &[
            ("lisen", &["listen"]),
            ("adminListen", &["admin_listen"]),
            ("api-key", &["api_key"]),
            ("apikey", &["api_key"]),
            ("base_uri", &["base_url"]),
            ("defaultmodel", &["default_model"]),
            ("banana", &[]),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, known).first().copied(), expected.first().copied(), "{name}");
        }
    }

    #[test]
    fn without_a_near_name_all_are_told() {
        assert_eq!(suggestion("x", ["a", "b", "c"]), "known: `a`, `b` or `c`");
        assert_eq!(suggestion("smort", ["smart", "fast"]), "did you mean `smart`?");
    }
}
