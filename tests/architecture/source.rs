//! The code as data: files, the paths they use, their words and their functions. Test code is left out.

use std::path::{Path, PathBuf};

use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::Visit;

/// One file of `src/`.
pub(crate) struct Source {
    /// Its path below `src/`, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    /// Absolute paths that it uses: `crate::domain::Error`, `tokio::time::Instant`.
    pub(crate) uses: Vec<String>,
    /// Identifiers, and literals in quotation marks; comments aside.
    pub(crate) words: Vec<String>,
    /// Public functions with a boolean parameter.
    pub(crate) flags: Vec<String>,
}

/// Every file below `root` that ends in `extension`, sorted.
pub(crate) fn files(root: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Every file of `src/` but those that are tests.
pub(crate) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let sources: Vec<Source> = files(&root, "rs")
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
            Source::read(path, std::fs::read_to_string(&file).unwrap())
        })
        .filter(|source| !source.path.split(['/', '.']).any(|part| part == "tests"))
        .collect();
    assert!(sources.len() > 20, "the sources were not found");
    sources
}

impl Source {
    pub(crate) fn read(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut reader = Reader { module: module(&path), uses: Vec::new(), words: Vec::new(), flags: Vec::new() };
        reader.visit_file(&parsed);
        let Reader { uses, words, flags, .. } = reader;
        Self { path, text, uses, words, flags }
    }

    /// The top-level module that the file belongs to: `domain`, `main`.
    pub(crate) fn top(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap_or_default()
    }

    /// The text without its tests module.
    pub(crate) fn without_tests(&self) -> &str {
        self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
    }

    /// Functions with their lines, found by the indentation that rustfmt gives them.
    pub(crate) fn functions(&self) -> Vec<(String, usize)> {
        let lines: Vec<&str> = self.without_tests().lines().collect();
        let mut functions = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let Some(name) = function_name(code) else { continue };
            let indent = &line[..line.len() - code.len()];
            let length = lines[at..].iter().position(|line| {
                let rest = line.strip_prefix(indent).unwrap_or_default();
                rest == "}"
                    || rest.ends_with(';') && !rest.starts_with(' ')
                    || *line == lines[at] && line.ends_with('}')
            });
            functions.push((name, length.map_or(lines.len() - at, |length| length + 1)));
        }
        functions
    }
}

fn function_name(code: &str) -> Option<String> {
    let before = ["pub ", "pub(super) ", "pub(crate) ", "const ", "async ", "unsafe ", "extern \"C\" "];
    let mut code = code;
    while let Some(rest) = before.iter().find_map(|word| code.strip_prefix(word)) {
        code = rest;
    }
    let rest = code.strip_prefix("fn ")?;
    Some(rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect())
}

/// `edge/grpc/codec.rs` is `crate::edge::grpc::codec`.
fn module(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let parts = path.split('/').filter(|part| !matches!(*part, "lib" | "main")).map(str::to_owned);
    std::iter::once("crate".to_owned()).chain(parts).collect()
}

struct Reader {
    module: Vec<String>,
    uses: Vec<String>,
    words: Vec<String>,
    flags: Vec<String>,
}

impl Reader {
    fn note(&mut self, path: &[String]) {
        let mut absolute: Vec<String> = match path.first().map(String::as_str) {
            Some("crate" | "completiond") => vec!["crate".to_owned()],
            Some("self") => self.module.clone(),
            Some("super") => self.module[..self.module.len().saturating_sub(1)].to_vec(),
            _ => path.iter().take(1).cloned().collect(),
        };
        for part in path.iter().skip(1) {
            if part == "super" {
                absolute.pop();
            } else {
                absolute.push(part.clone());
            }
        }
        self.uses.push(absolute.join("::"));
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: String| [before, &[name]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(path.ident.to_string()), &path.tree),
            syn::UseTree::Name(name) => self.note(&with(name.ident.to_string())),
            syn::UseTree::Rename(name) => self.note(&with(name.ident.to_string())),
            syn::UseTree::Glob(_) => self.note(&with("*".to_owned())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
        }
    }

    /// Paths and words of a macro's tokens.
    fn tokens(&mut self, mut cursor: Cursor<'_>) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        while !cursor.eof() {
            if let Some((ident, next)) = cursor.ident() {
                if colons != 2 {
                    self.note_if_long(&path);
                    path.clear();
                }
                path.push(ident.to_string());
                self.words.push(ident.to_string());
                (colons, cursor) = (0, next);
                continue;
            }
            if let Some((punct, next)) = cursor.punct() {
                colons = if punct.as_char() == ':' { colons + 1 } else { 3 };
                cursor = next;
                continue;
            }
            colons = 3;
            if let Some((literal, next)) = cursor.literal() {
                self.words.push(literal.to_string());
                cursor = next;
            } else if let Some((inside, _, _, next)) = cursor.any_group() {
                self.tokens(inside);
                cursor = next;
            } else if let Some((_, next)) = cursor.token_tree() {
                cursor = next;
            }
        }
        self.note_if_long(&path);
    }

    fn note_if_long(&mut self, path: &[String]) {
        if path.len() > 1 {
            self.note(path);
        }
    }

    fn signature(&mut self, visibility: &syn::Visibility, signature: &syn::Signature) {
        let is_flag = |input: &syn::FnArg| {
            matches!(input, syn::FnArg::Typed(typed)
                if matches!(&*typed.ty, syn::Type::Path(path) if path.path.is_ident("bool")))
        };
        if matches!(visibility, syn::Visibility::Public(_)) && signature.inputs.iter().any(is_flag) {
            self.flags.push(signature.ident.to_string());
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string() == "test",
        _ => false,
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            _ => return syn::visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {
        // Comments are attributes, and what they say is free.
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
        syn::visit::visit_item_use(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.note_if_long(&parts);
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let buffer = TokenBuffer::new2(item.tokens.clone());
        self.tokens(buffer.begin());
        syn::visit::visit_macro(self, item);
    }

    fn visit_ident(&mut self, ident: &'ast syn::Ident) {
        self.words.push(ident.to_string());
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.words.push(format!("\"{}\"", literal.value()));
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.signature(&item.vis, &item.sig);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.signature(&item.vis, &item.sig);
        syn::visit::visit_impl_item_fn(self, item);
    }
}
