//! The batch while it runs: items go out while results come in, and each result is in the journal before another item
//! takes its place. So never more items are under way than may run at a time, whatever ends the process.

use std::time::Duration;

use tokio::time::{Instant, Interval, sleep_until};
use tonic::Status;
use tonic_types::StatusExt as _;

use super::feed::Feed;
use super::figures::{Figures, Tally};
use super::interrupts::Interrupts;
use super::item::Item;
use super::journal::Journal;
use super::keeper::{Keeper, Kept};
use super::lines::Line;
use super::outage::{Meaning, Outage, meaning};
use super::patience::before_again;
use super::plan::Plan;
use super::progress::Progress;
use super::slots::Slots;
use super::stop::Stop;
use super::told::{self, Told};
use super::wire::{Heard, Wire};
use crate::cli::client::Connection;
use crate::cli::{render, tell};
use crate::proto::{CompleteRequest, StreamBatchCompleteResponse};

/// Lines that cannot be read wait for the journal without a slot; at most so many.
const MOST_REFUSED: usize = 256;
/// The reason of a server that stops: whatever fails so was not asked.
const SHUTTING_DOWN: &str = "SHUTTING_DOWN";

/// How a batch is run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Items under way at a time.
    pub(super) concurrency: u16,
    /// How often an item that failed may be asked again.
    pub(super) retries: u32,
    /// How long the server may be away.
    pub(super) patience: Duration,
}

/// What a batch has at its beginning, and in the end.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) plan: Plan,
    pub(super) tally: Tally,
    /// How often an item that failed was asked again.
    pub(super) again: u64,
}

/// A batch under way.
pub(super) struct Run<'a> {
    terms: Terms,
    connection: &'a Connection,
    work: &'a mut Work,
    progress: &'a mut Progress,
    feed: Feed,
    keeper: Keeper,
    slots: Slots,
    wire: Option<Wire>,
    outage: Outage,
    /// Until then no stream is begun.
    pause: Option<Instant>,
    /// One item at a time, because one of those under way is not taken.
    careful: bool,
    /// The server stops: nothing more goes out on this stream.
    stopping: bool,
    at_end: bool,
    pulse: Interval,
    interrupts: Interrupts,
}

enum Event {
    Heard(Heard),
    Kept(Result<Vec<Kept>, Stop>),
    /// It is time for something, or to show how it goes.
    Time,
    Interrupted,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        terms: Terms,
        connection: &'a Connection,
        work: &'a mut Work,
        progress: &'a mut Progress,
        feed: Feed,
        journal: Journal,
        interrupts: Interrupts,
    ) -> Self {
        Self {
            terms,
            connection,
            work,
            progress,
            feed,
            keeper: Keeper::new(journal),
            slots: Slots::default(),
            wire: None,
            outage: Outage::default(),
            pause: None,
            careful: false,
            stopping: false,
            at_end: false,
            pulse: tokio::time::interval(Duration::from_secs(1)),
            interrupts,
        }
    }

    /// Runs to the end, and gives the journal back with everything in it.
    ///
    /// # Errors
    /// What stopped it; all results that came are in the journal then, unless it is the journal that failed.
    pub(super) async fn run(mut self) -> Result<Journal, Stop> {
        let done = self.drive().await;
        match self.wire.take() {
            Some(wire) if done.is_ok() => wire.close().await,
            // Dropped, it ends all that runs for it.
            _ => {}
        }
        let kept = self.finish().await;
        done.and(kept)?;
        let journal = self.keeper.into_journal();
        journal.ok_or_else(|| Stop::Failed("the journal was lost".to_owned()))
    }

    async fn drive(&mut self) -> Result<(), Stop> {
        loop {
            self.fill()?;
            self.keeper.write();
            if self.at_end && self.slots.len() == 0 && self.keeper.is_done() {
                return Ok(());
            }
            match self.next().await {
                Event::Heard(Heard::Result(result)) => self.heard(*result)?,
                Event::Heard(Heard::Ended(status)) => self.ended(&status)?,
                Event::Kept(kept) => self.kept(kept?)?,
                Event::Time => {}
                Event::Interrupted => return Err(Stop::Interrupted),
            }
            self.progress.show(&self.work.tally, self.work.plan.left());
        }
    }

    async fn next(&mut self) -> Event {
        let due = self.slots.next_due().map(|due| self.pause.map_or(due, |pause| pause.max(due)));
        let Self { wire, keeper, pulse, interrupts, .. } = self;
        let hear = async {
            match wire {
                Some(wire) => wire.hear().await,
                None => std::future::pending().await,
            }
        };
        let wait = async {
            match due {
                // An item that is due and cannot go waits for something else.
                Some(due) if due > Instant::now() => sleep_until(due).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = interrupts.come() => Event::Interrupted,
            heard = hear => Event::Heard(heard),
            kept = keeper.kept() => Event::Kept(kept),
            () = wait => Event::Time,
            _ = pulse.tick() => Event::Time,
        }
    }

    /// Sends what may go: first what has to be sent again, then the input's next items.
    fn fill(&mut self) -> Result<(), Stop> {
        let now = Instant::now();
        if self.pause.is_some_and(|pause| pause <= now) {
            self.pause = None;
        }
        if self.careful && self.slots.all_answered() {
            self.careful = false;
        }
        while self.may_send() {
            if let Some(line) = self.slots.due(now) {
                let item = self.feed.again(&line)?;
                self.put(line, item);
            } else if !self.take(now)? {
                break;
            }
        }
        Ok(())
    }

    fn may_send(&self) -> bool {
        let is_free = self.slots.sent() < if self.careful { 1 } else { usize::from(self.terms.concurrency) };
        is_free && !self.stopping && self.pause.is_none() && self.keeper.waiting() < MOST_REFUSED
    }

    /// Takes the input's next item; false where there is none, or no room for it.
    fn take(&mut self, now: Instant) -> Result<bool, Stop> {
        if self.at_end || self.careful || self.slots.len() >= usize::from(self.terms.concurrency) {
            return Ok(false);
        }
        let Some((line, item)) = self.feed.next(&self.work.plan)? else {
            self.at_end = true;
            return Ok(false);
        };
        if item.request.is_ok() {
            self.slots.take(line, item.custom_id.clone(), now);
        }
        self.put(line, item);
        Ok(true)
    }

    /// Sends an item, or keeps what is wrong with its line.
    fn put(&mut self, line: Line, item: Item) {
        match item.request {
            Ok(request) => self.send(line.number, request),
            Err(faults) => {
                self.slots.free(line.number);
                self.keeper.add(line.number, line.hash, told::refused(&item.custom_id, line.number, &faults));
            }
        }
    }

    fn send(&mut self, number: u64, request: Box<CompleteRequest>) {
        let concurrency = self.terms.concurrency;
        let wire = self.wire.get_or_insert_with(|| Wire::open(self.connection, concurrency));
        // The names of users need not be unique: on the wire an item has the number of its line.
        wire.send(number.to_string(), request);
        self.slots.send(number);
    }

    fn heard(&mut self, response: StreamBatchCompleteResponse) -> Result<(), Stop> {
        let number = response.custom_id.parse().unwrap_or_default();
        let Some(slot) = self.slots.of_sent(number) else { return Ok(()) };
        let told = told::result(&slot.custom_id, response.result.unwrap_or_default());
        if told.failure.as_ref().is_some_and(|failure| failure.reason == SHUTTING_DOWN) {
            slot.wait_until(Instant::now());
            self.stopping = true;
        } else {
            self.outage.end();
            self.settle(number, told);
        }
        if self.stopping && self.slots.sent() == 0 {
            return self.ended(&Status::unavailable("the server stops"));
        }
        Ok(())
    }

    /// Keeps a result, or has its item asked once more.
    fn settle(&mut self, number: u64, mut told: Told) {
        let Some(slot) = self.slots.of_sent(number) else { return };
        let dice = rand::random();
        let wait = told.failure.as_ref().and_then(|failed| before_again(failed, slot.again, self.terms.retries, dice));
        if let Some(at) = wait.and_then(|wait| Instant::now().checked_add(wait)) {
            slot.again = slot.again.saturating_add(1);
            slot.spent.add_spent(&told.figures);
            slot.wait_until(at);
            self.work.again = self.work.again.saturating_add(1);
            return;
        }
        told.figures.add_spent(&std::mem::take::<Figures>(&mut slot.spent));
        slot.answer();
        let (line, hash) = (slot.line.number, slot.line.hash);
        self.keeper.add(line, hash, told);
    }

    /// The stream has ended though there is more to do.
    fn ended(&mut self, status: &Status) -> Result<(), Stop> {
        let now = Instant::now();
        let wire = self.wire.take();
        self.stopping = false;
        if self.at_end && self.slots.all_answered() {
            return Ok(());
        }
        match meaning(status) {
            Meaning::Refused => return Err(Stop::Failed(render::failure(status))),
            Meaning::Lost => {
                let open = wire.filter(Wire::is_open).map(|wire| now.saturating_duration_since(wire.began));
                self.lost(now, open, status)?;
            }
            Meaning::Suspect if self.slots.sent() == 0 => return Err(Stop::Failed(render::failure(status))),
            Meaning::Suspect => match self.slots.only_sent() {
                Some(slot) => {
                    let (number, told) = (slot.line.number, told::status(&slot.custom_id, status));
                    self.settle(number, told);
                }
                None => self.careful = true,
            },
        }
        self.slots.send_all_again(now);
        Ok(())
    }

    fn lost(&mut self, now: Instant, open: Option<Duration>, status: &Status) -> Result<(), Stop> {
        let hint = status.get_details_retry_info().and_then(|told| told.retry_delay);
        let lasts = self.outage.lasts();
        self.pause = self.outage.lose(now, open, hint, self.terms.patience);
        if self.pause.is_none() {
            return Err(Stop::Unreachable(format!("the server does not come back: {}", render::failure(status))));
        }
        if !lasts {
            self.progress
                .suspend(|| tell(format_args!("the stream broke off; waiting for the server ({})", status.message())));
        }
        Ok(())
    }

    fn kept(&mut self, kept: Vec<Kept>) -> Result<(), Stop> {
        for Kept { line, hash, at, figures } in kept {
            self.slots.free(line);
            if self.work.plan.settle(line, hash, at)? {
                self.work.tally.add(&figures);
            }
        }
        Ok(())
    }

    /// Waits until everything that came is in the journal.
    async fn finish(&mut self) -> Result<(), Stop> {
        loop {
            self.keeper.write();
            if self.keeper.is_done() {
                return Ok(());
            }
            let kept = self.keeper.kept().await?;
            self.kept(kept)?;
        }
    }
}
