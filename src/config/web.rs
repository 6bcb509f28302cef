//! `web`: which pages may call from a browser.

use http::HeaderValue;

use super::Admitted;
use super::problem::Wrong;
use super::reader::Fields;

/// What stands for all origins.
const ANY: &str = "*";

/// What browsers are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Web {
    /// The origins whose pages may call. Default: none.
    pub origins: Origins,
}

/// Origins of pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// These.
    Listed(Vec<HeaderValue>),
    /// All.
    Any,
}

impl Default for Origins {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl Web {
    /// `admitted` says whether a page would have to know a key.
    pub(super) fn read(file: &mut Fields<'_>, admitted: &Admitted) -> Self {
        let Some(value) = file.take("web") else { return Self::default() };
        let mut fields = value.fields();
        let origins = fields.take("origins").map(|list| {
            let items = list.items();
            let is_any = |text: &str| text == ANY;
            if items.len() == 1 && items.iter().any(|item| item.written_is(ANY)) {
                if admitted.is_open() || admitted.anonymous {
                    let rule = "`*` lets any page call that anybody opens, and nobody is asked for a key";
                    list.wrong(Wrong::new(
                        rule,
                        "list the origins, or name who may call (`callers`, `callers_dir` or `issuers`), without `allow_anonymous`",
                    ));
                }
                return Origins::Any;
            }
            let read = |text: &str| match is_any(text) {
                true => {
                    Err(Wrong::new("`*` stands for all origins, so nothing stands beside it", "write `[\"*\"]` alone"))
                }
                false => origin(text),
            };
            Origins::Listed(items.iter().filter_map(|item| item.parse(read)).collect())
        });
        fields.finish(&[]);
        Self { origins: origins.unwrap_or_default() }
    }
}

/// Reads an origin as browsers write it.
fn origin(text: &str) -> Result<HeaderValue, Wrong> {
    let right = "write a scheme, a host and a port that is not the scheme's own, as in `https://app.example` or `http://localhost:5173`";
    let wrong = |rule: String| Wrong::new(rule, right);
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(wrong(format!("`{text}` is no origin")));
    };
    if !matches!(scheme, "http" | "https") {
        return Err(wrong(format!("`{scheme}` is no scheme of pages")));
    }
    let uri: http::Uri = text.parse().map_err(|_| wrong(format!("`{text}` is no origin")))?;
    let is_bare = uri.authority().is_some_and(|authority| authority.as_str() == rest) && !rest.contains('@');
    if !is_bare || rest.contains('*') {
        return Err(wrong(format!("`{text}` has more than scheme, host and port, or a pattern")));
    }
    if rest != rest.to_ascii_lowercase() {
        return Err(wrong(format!("`{text}` is not in lower case, as browsers send it")));
    }
    if matches!((scheme, uri.port_u16()), ("http", Some(80)) | ("https", Some(443))) {
        return Err(wrong(format!("`{text}` has its scheme's own port, which browsers leave out")));
    }
    HeaderValue::from_str(text).map_err(|_| wrong(format!("`{text}` is no origin")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_as_browsers_write_it() {
        for good in
            ["https://app.example", "http://localhost:5173", "https://[::1]:8443", "https://xn--bcher-kva.example"]
        {
            assert_eq!(origin(good).unwrap(), good);
        }
        for (bad, rule) in [
            ("app.example", "is no origin"),
            ("null", "is no origin"),
            ("ftp://app.example", "is no scheme"),
            ("https://app.example/", "more than"),
            ("https://app.example/page", "more than"),
            ("https://user@app.example", "more than"),
            ("https://*.example", "pattern"),
            ("https://App.example", "lower case"),
            ("https://app.example:443", "own port"),
            ("http://app.example:80", "own port"),
            ("https://", "is no origin"),
            ("https://a b", "is no origin"),
        ] {
            assert!(origin(bad).unwrap_err().rule.contains(rule), "{bad}: {}", origin(bad).unwrap_err().rule);
        }
    }
}
