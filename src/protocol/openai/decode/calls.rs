//! Tool calls that grow in pieces, several at once, from servers that number them and from servers that do not.

use crate::domain::{Block, BlockKind, Decoded, Delta, Error, Event, Identity, ToolCall, ToolInput};
use crate::protocol::openai::kept::Kept;

use super::wire::{CallPart, count, some_text, text};

/// The most calls of one answer.
const MOST_CALLS: usize = 1024;
/// The most input of all calls of one answer, in bytes: it is held to see whether it is whole.
const MOST_INPUT: usize = 8 * 1024 * 1024;

/// The calls of one answer.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    held: usize,
}

#[derive(Debug)]
struct Call {
    /// The server's number for it, where it has one.
    number: Option<i64>,
    id: String,
    stage: Stage,
    form: Form,
    /// All input so far.
    input: String,
    kept: Kept,
}

#[derive(Debug)]
enum Stage {
    /// Its name has not come yet.
    Unnamed,
    /// It is a block; so many bytes of its input were sent on.
    Open { index: u32, sent: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    Text,
}

impl Calls {
    /// Takes a piece; `next` is the index of the next block, `answer` the provider's id of the answer.
    pub(super) fn take(
        &mut self,
        part: &CallPart<'_>,
        next: &mut u32,
        answer: &str,
        events: &mut Vec<Decoded>,
    ) -> Result<(), Error> {
        let name = part.function.as_ref().and_then(|function| some_text(function.name));
        let name = name.or_else(|| some_text(part.custom.as_ref()?.name));
        let place = self.place(part, name.is_some())?;
        let Some(call) = self.calls.get_mut(place) else { return Ok(()) };
        if part.custom.is_some() {
            call.form = Form::Text;
        }
        if let Some(extra) = part.extra_content {
            call.kept.extra_content = Some(extra.to_owned());
        }
        let before = call.input.len();
        call.grow(part);
        self.held += call.input.len() - before;
        if self.held > MOST_INPUT {
            return Err(Error::protocol("the input of its tool calls is too large"));
        }
        if let (Stage::Unnamed, Some(name)) = (&call.stage, name) {
            if call.id.is_empty() {
                call.id = made_up_id(answer, place);
            }
            events.push(Event::BlockStarted { index: *next, block: Box::new(call.block(&name)) });
            call.stage = Stage::Open { index: *next, sent: 0 };
            *next += 1;
        }
        call.send(events);
        Ok(())
    }

    /// Which call a piece belongs to. A number decides, unless it is used again for a call with another id; without a
    /// number a new id or a name begins a call, and everything else belongs to the last one.
    fn place(&mut self, part: &CallPart<'_>, named: bool) -> Result<usize, Error> {
        let number = count(part.index);
        let id = some_text(part.id).filter(|id| id != "null");
        let last = self.calls.len().checked_sub(1);
        let found = match number {
            Some(_) => self.calls.iter().rposition(|call| call.number == number),
            None => last,
        };
        let begins = found.and_then(|place| self.calls.get(place)).is_none_or(|call| match &id {
            Some(id) => !call.id.is_empty() && call.id != *id && named,
            None => number.is_none() && named && !matches!(call.stage, Stage::Unnamed),
        });
        if let (false, Some(place)) = (begins, found) {
            if let (Some(call), Some(id)) = (self.calls.get_mut(place), id)
                && call.id.is_empty()
            {
                call.id = id.into_owned();
            }
            return Ok(place);
        }
        if self.calls.len() >= MOST_CALLS {
            return Err(Error::protocol("it has too many tool calls"));
        }
        let id = id.map(std::borrow::Cow::into_owned).unwrap_or_default();
        let (stage, form) = (Stage::Unnamed, Form::Json);
        self.calls.push(Call { number, id, stage, form, input: String::new(), kept: Kept::default() });
        Ok(self.calls.len() - 1)
    }

    /// The end of all calls; `cut` says that the answer was cut short.
    pub(super) fn finish(&mut self, cut: bool, identity: &Identity, events: &mut Vec<Decoded>) -> Result<(), Error> {
        for mut call in std::mem::take(&mut self.calls) {
            call.finish(cut, identity, events)?;
        }
        Ok(())
    }
}

impl Call {
    fn grow(&mut self, part: &CallPart<'_>) {
        if let Some(custom) = &part.custom {
            self.input.push_str(&text(custom.input).unwrap_or_default());
        }
        let Some(arguments) = part.function.as_ref().and_then(|function| function.arguments) else { return };
        match text(Some(arguments)) {
            Some(piece) => self.input.push_str(&piece),
            // Not a string that holds an object but the object itself.
            None => self.input.push_str(arguments.get()),
        }
    }

    fn block(&self, name: &str) -> Block {
        let input = match self.form {
            Form::Json => ToolInput::Json(String::new()),
            Form::Text => ToolInput::Text(String::new()),
        };
        let (id, name) = (self.id.clone(), name.to_owned());
        BlockKind::ToolCall(ToolCall { id, name, input, incomplete: false, namespace: String::new() }).into()
    }

    /// Sends on what came, except while it may turn out to say "no arguments".
    fn send(&mut self, events: &mut Vec<Decoded>) {
        if self.form == Form::Json && "null".starts_with(self.input.trim()) {
            return;
        }
        let Stage::Open { index, sent } = &mut self.stage else { return };
        let piece = self.input.get(*sent..).unwrap_or_default();
        if !piece.is_empty() {
            events.push(Event::delta(*index, Delta::ToolInput(piece.to_owned())));
            *sent = self.input.len();
        }
    }

    fn finish(&mut self, cut: bool, identity: &Identity, events: &mut Vec<Decoded>) -> Result<(), Error> {
        let Stage::Open { index, .. } = self.stage else {
            // Nothing can be done with a call whose name was cut off.
            return if cut { Ok(()) } else { Err(Error::protocol("a tool call has no name")) };
        };
        let incomplete = match (self.form, self.input.trim()) {
            (Form::Text, _) => cut,
            (Form::Json, "" | "null") => {
                if !cut {
                    events.push(Event::delta(index, Delta::ToolInput("{}".to_owned())));
                }
                cut
            }
            (Form::Json, input) => !is_object(input),
        };
        let state = self.kept.extra_content.is_some().then(|| self.kept.seal(identity)).flatten();
        events.push(Event::BlockFinished { index, state, incomplete });
        Ok(())
    }
}

fn is_object(json: &str) -> bool {
    json.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok()
}

/// An id for a call that came without one: the same whenever the same answer is read, another in another answer.
fn made_up_id(answer: &str, place: usize) -> String {
    let tail: Vec<char> = answer.chars().rev().filter(char::is_ascii_alphanumeric).take(12).collect();
    format!("call_{}_{place}", tail.into_iter().rev().collect::<String>())
}
