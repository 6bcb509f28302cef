//! `completiond prices`: what models cost and where that is from, and a newer table over one's own.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use clap::{Args, Subcommand};

use super::render::QUIET;
use super::settings::{ConfigArgs, ListenArgs};
use super::{Exit, print, print_json, tell, tell_problems, usage};
use crate::config::{Pricing, nearest};
use crate::price::{Change, Difference, Entry, Field, File, Price, Rates, per_million};

const ADDED: Style = AnsiColor::Green.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();
const GONE: Style = AnsiColor::Red.on_default();
const NAME: Style = Style::new().bold();

/// The flags of `completiond prices`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct PricesArgs {
    /// Only these models, with all of their prices: `id` or `vendor/id`, as the tables have them; the names of `models`
    /// in the configuration are not looked up
    #[arg(value_name = "MODEL")]
    models: Vec<String>,
    /// Only the models of this vendor
    #[arg(long, value_name = "VENDOR")]
    vendor: Option<String>,
    /// Print the prices as JSON, in pico-USD per token
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<PricesCommand>,
}

#[derive(Debug, Subcommand)]
enum PricesCommand {
    /// Put a newer table over your own price table, and show what that changes, in US dollars per million tokens
    Update(UpdateArgs),
}

#[derive(Debug, Args)]
struct UpdateArgs {
    /// The newer table: in the form of `price_table`, or a list of US dollars per million tokens
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The table that is changed, made where there is none [default: the configuration's `price_table`]
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the changes as JSON
    #[arg(long)]
    json: bool,
}

/// Shows prices, or changes the table of one's own.
pub(super) fn run(config: &ConfigArgs, args: &PricesArgs) -> Result<(), Exit> {
    let pricing = pricing(config)?;
    match &args.command {
        Some(PricesCommand::Update(args)) => update(&pricing, args),
        None => show(&pricing, args),
    }
}

/// What the configuration says; the built-in table where none is named.
fn pricing(config: &ConfigArgs) -> Result<Pricing, Exit> {
    match config.config.as_deref().filter(|path| !path.as_os_str().is_empty()) {
        None => Ok(Pricing::default()),
        Some(_) => Ok(config.load(&ListenArgs::default()).map_err(tell_problems)?.config.pricing),
    }
}

fn show(pricing: &Pricing, args: &PricesArgs) -> Result<(), Exit> {
    let of_vendor = |entry: &&Entry| args.vendor.as_ref().is_none_or(|vendor| *vendor == entry.row.vendor);
    let all: Vec<&Entry> = pricing.prices.entries().filter(of_vendor).collect();
    if all.is_empty() {
        tell(format_args!("no price of this vendor is known{}", like(args.vendor.as_deref(), pricing)));
        return Err(Exit::Failed);
    }
    let unknown: Vec<&String> = args.models.iter().filter(|name| !all.iter().any(|entry| bears(entry, name))).collect();
    for name in &unknown {
        let names = all.iter().flat_map(|entry| entry.row.names());
        let near = nearest(name, names).first().map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        tell(format_args!("no price of `{name}` is known{near}"));
    }
    let named = |entry: &&&Entry| args.models.is_empty() || args.models.iter().any(|name| bears(entry, name));
    let shown: Vec<&Entry> = all.iter().filter(named).copied().collect();
    if args.json {
        print_json(&shown.iter().map(|entry| json(entry)).collect::<Vec<_>>())?;
    } else if !shown.is_empty() {
        print(&table(&shown, !args.models.is_empty()))?;
    }
    if unknown.is_empty() { Ok(()) } else { Err(Exit::Failed) }
}

fn like(vendor: Option<&str>, pricing: &Pricing) -> String {
    let mut vendors: Vec<&str> = pricing.prices.entries().map(|entry| entry.row.vendor.as_str()).collect();
    vendors.dedup();
    let near = vendor.map(|vendor| nearest(vendor, vendors)).unwrap_or_default();
    near.first().map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

fn bears(entry: &Entry, name: &str) -> bool {
    let of_vendor = name.strip_prefix(&entry.row.vendor).and_then(|rest| rest.strip_prefix('/'));
    entry.row.names().any(|own| own == name || Some(own) == of_vendor)
}

fn json(entry: &Entry) -> serde_json::Value {
    let mut row = serde_json::to_value(&entry.row).unwrap_or_default();
    if let Some(row) = row.as_object_mut() {
        row.insert("version".to_owned(), entry.version.as_str().into());
    }
    row
}

/// The prices in columns; `whole`: each with what is charged on other terms.
fn table(entries: &[&Entry], whole: bool) -> String {
    let heads = ["VENDOR", "MODEL", "INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE", "OF", "FROM"];
    let rows: Vec<[String; 8]> = entries.iter().map(|entry| row(entry)).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(heads.get(column).map(|head| head.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: &[String; 8]| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            // Figures stand below each other by their ends.
            if (2..6).contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut text = format!("{QUIET}{}{QUIET:#}\n", line(&heads.map(str::to_owned)));
    for (entry, row) in entries.iter().zip(&rows) {
        text.push_str(&line(row));
        text.push('\n');
        if whole {
            details(&mut text, entry);
        }
    }
    let _ = writeln!(text, "{QUIET}US dollars per million tokens; ? is not known{QUIET:#}");
    text
}

fn row(entry: &Entry) -> [String; 8] {
    let Rates { input, output, cache_read, .. } = entry.row.price.standard;
    let write = entry.standard().cache_write;
    let figure = |rate: Option<_>| rate.map_or_else(|| "?".to_owned(), per_million);
    let source = entry.row.source.chars().take(40).collect();
    let row = &entry.row;
    let [input, output, read, write] = [input, output, cache_read, write].map(figure);
    [row.vendor.clone(), row.id.clone(), input, output, read, write, row.date.clone(), source]
}

/// What is charged on other terms, a line each.
fn details(text: &mut String, entry: &Entry) {
    let Price { standard, long_context, tiers, multipliers, off_peak, tools } = &*entry.row.price;
    let mut say = |what: &str, said: String| {
        let _ = writeln!(text, "  {QUIET}{what:<22}{QUIET:#} {said}");
    };
    say("each token", rates(standard));
    long_context.iter().for_each(|step| say(&format!("above {} tokens", step.above), rates(&step.price)));
    tiers.iter().for_each(|(tier, price)| say(&format!("tier {tier}"), rates(price)));
    if let Some(quiet) = off_peak {
        let windows = quiet.windows.iter().map(|window| {
            let hours = window.hours_utc.iter().map(|hours| String::from(*hours)).collect::<Vec<_>>().join(" ");
            format!("days {:?} {hours}", window.weekdays)
        });
        say("quiet hours, UTC", format!("{}; {}", rates(&quiet.price), windows.collect::<Vec<_>>().join("; ")));
    }
    multipliers.iter().for_each(|(name, factor)| say(&format!("surcharge {name}"), format!("times {factor}")));
    for (tool, price) in tools {
        say(&format!("call of {tool}"), price.get().map_or_else(String::new, |usd| format!("{usd} USD")));
    }
    if !entry.row.aliases.is_empty() {
        say("also called", entry.row.aliases.join(", "));
    }
    say("from", format!("{} ({}), table {}", entry.row.source, entry.row.date, entry.version.as_str()));
    if !entry.row.note.is_empty() {
        say("note", entry.row.note.clone());
    }
}

fn rates(rates: &Rates) -> String {
    let known = rates.named().into_iter().filter_map(|(name, rate)| Some(format!("{name} {}", per_million(rate?))));
    known.collect::<Vec<_>>().join(", ")
}

fn update(pricing: &Pricing, args: &UpdateArgs) -> Result<(), Exit> {
    let Some(into) = args.into.as_ref().or(pricing.table.as_ref()) else {
        usage("nothing says which table to change: name it with --into, or by `price_table` in the configuration");
    };
    let newer = read(&args.file)?;
    let own = if into.exists() { Some(read(into)?) } else { None };
    let merged = own.clone().unwrap_or_default().merged(&newer);
    // What is charged now: the built-in table with one's own over it.
    let mut now = pricing_table();
    if let Some(own) = &own {
        now = now.merged(own);
    }
    let changes = now.changes(&newer);
    let printed = if args.json { print_json(&changes) } else { print(&difference(&changes)) };
    if args.dry_run {
        return printed;
    }
    write(into, &merged)?;
    tell(format_args!("{} is now of {}", into.display(), merged.version));
    printed
}

fn pricing_table() -> File {
    File::read(crate::price::TABLE).unwrap_or_default()
}

fn read(path: &Path) -> Result<File, Exit> {
    let failed = |what: &dyn std::fmt::Display| {
        tell(format_args!("{}: {what}", path.display()));
        Exit::Configuration
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    File::read(&text).map_err(|error| {
        let line = error.line.map_or_else(String::new, |line| format!("line {line}: "));
        failed(&format_args!("{line}{error}"))
    })
}

/// Writes the table so that whoever reads it meets the old one or the new one, never half of one.
fn write(into: &Path, table: &File) -> Result<(), Exit> {
    // What a link points to is written, and the link stays.
    let into = into.canonicalize().unwrap_or_else(|_| into.to_owned());
    let mut beside = into.clone().into_os_string();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let replace = || -> std::io::Result<()> {
        let text = table.text().map_err(std::io::Error::other)?;
        let mut file = std::fs::File::create(&beside)?;
        if let Ok(old) = std::fs::metadata(&into) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, &into)
    };
    replace().map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        tell(format_args!("{} cannot be written: {error}", into.display()));
        Exit::Failed
    })
}

/// The changes for people, with colours; whoever prints them takes them out where no terminal reads them.
fn difference(changes: &[Change]) -> String {
    let mut text = String::new();
    for Change { vendor, model, difference } in changes {
        let name = if model.is_empty() { vendor.clone() } else { format!("{vendor}/{model}") };
        let (sign, style, fields): (_, _, &[Field]) = match difference {
            Difference::Added(fields) => ("+", ADDED, fields),
            Difference::Changed(fields) => ("~", CHANGED, fields),
            Difference::Gone => ("-", GONE, &[]),
        };
        let kept = if fields.is_empty() { "  not in the newer table: stays as it is" } else { "" };
        let _ = writeln!(text, "{style}{sign}{style:#} {NAME}{name}{NAME:#}{QUIET}{kept}{QUIET:#}");
        for Field { name, before, after } in fields {
            let shown = |side: &Option<String>| side.clone().unwrap_or_else(|| "?".to_owned());
            let change = match (difference, before) {
                (Difference::Added(_), None) => shown(after),
                _ => format!("{} -> {style}{}{style:#}", shown(before), shown(after)),
            };
            let _ = writeln!(text, "    {name:<24} {change}");
        }
    }
    let count = |which: fn(&Difference) -> bool| changes.iter().filter(|change| which(&change.difference)).count();
    let added = count(|difference| matches!(difference, Difference::Added(_)));
    let changed = count(|difference| matches!(difference, Difference::Changed(_)));
    let gone = count(|difference| matches!(difference, Difference::Gone));
    let _ = writeln!(text, "{added} added, {changed} changed, {gone} gone");
    text
}
