//! `${NAME}` in the values of a file: the environment, put in once.

use super::problem::Wrong;

/// What a value refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part<'t> {
    /// Text as it is.
    Text(&'t str),
    /// A variable.
    Variable(&'t str),
}

/// Cuts a value into text and variables. `$${` is the text `${`.
///
/// # Errors
/// A `${` that does not name a variable.
pub(super) fn parts(text: &str) -> Result<Vec<Part<'_>>, Wrong> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            parts.extend([Part::Text(before), Part::Text("${")]);
            rest = behind;
            continue;
        }
        let (name, behind) = behind.split_once('}').filter(|(name, _)| is_name(name)).ok_or_else(|| {
            Wrong::new("has a `${` that names no variable", "write `${NAME}`, and `$${` for the text `${`")
        })?;
        parts.extend([Part::Text(before), Part::Variable(name)]);
        rest = behind;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

/// Which variables stand in the values of a file.
#[derive(Clone, Copy)]
pub(super) enum Environment<'a> {
    /// Those of the process.
    Of(&'a dyn Fn(&str) -> Option<String>),
    /// None: whoever writes the file need not be who runs the server, and does not read its environment, in which keys are.
    Closed,
}

impl std::fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Of(_) => "Of",
            Self::Closed => "Closed",
        })
    }
}

/// The value with every variable replaced by its content, which itself is never looked into.
///
/// # Errors
/// A `${` that does not name a variable, variables that are not set, or any where there are none; never their content.
pub(super) fn expand(text: &str, environment: Environment<'_>) -> Result<String, Wrong> {
    let mut expanded = String::with_capacity(text.len());
    let mut missing = Vec::new();
    for part in parts(text)? {
        match part {
            Part::Text(text) => expanded.push_str(text),
            Part::Variable(name) => match environment {
                Environment::Of(variable) => match variable(name) {
                    Some(value) => expanded.push_str(&value),
                    None => missing.push(name),
                },
                Environment::Closed => {
                    let rule = format!("names the environment variable {name}, and a file of `callers_dir` has none");
                    return Err(Wrong::new(rule, "write the value itself, and `$${` for the text `${`"));
                }
            },
        }
    }
    match missing.as_slice() {
        [] => Ok(expanded),
        [name] => Err(Wrong::new(format!("the environment variable {name} is not set"), format!("set {name}"))),
        names => {
            let names = names.join(", ");
            Err(Wrong::new(format!("the environment variables {names} are not set"), "set them"))
        }
    }
}

/// The variables that a value refers to, in order.
pub(super) fn variables(text: &str) -> Vec<&str> {
    let name = |part| match part {
        Part::Variable(name) => Some(name),
        Part::Text(_) => None,
    };
    parts(text).unwrap_or_default().into_iter().filter_map(name).collect()
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|rest| rest.is_ascii_alphanumeric() || rest == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_put_in_once() {
        let environment = |name: &str| match name {
            "A" => Some("one".to_owned()),
            "B" => Some("${A}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let unnamed = "has a `${` that names no variable";
        let cases = [
            ("plain", Ok("plain")),
            ("${A}", Ok("one")),
            ("x-${A}-${A}-y", Ok("x-one-one-y")),
            ("${B}", Ok("${A}")),
            ("${EMPTY}", Ok("")),
            ("$A $ {A} $", Ok("$A $ {A} $")),
            ("$${A}", Ok("${A}")),
            ("${NONE}", Err("the environment variable NONE is not set")),
            ("${NONE}${A}${NADA}", Err("the environment variables NONE, NADA are not set")),
            ("${}", Err(unnamed)),
            ("${A", Err(unnamed)),
            ("${A:-x}", Err(unnamed)),
            ("${1A}", Err(unnamed)),
            ("${A B}", Err(unnamed)),
        ];
        for (text, expected) in cases {
            let expanded = expand(text, Environment::Of(&environment)).map_err(|wrong| wrong.rule);
            assert_eq!(expanded, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn where_the_environment_is_closed_nothing_of_it_is_put_in() {
        assert_eq!(expand("$A $${A}", Environment::Closed).unwrap(), "$A ${A}");
        let told = expand("x-${A}", Environment::Closed).unwrap_err().rule;
        assert_eq!(told, "names the environment variable A, and a file of `callers_dir` has none");
    }

    #[test]
    fn variables_are_named_in_order() {
        assert_eq!(variables("a ${B} ${C} $${D}"), ["B", "C"]);
    }
}
