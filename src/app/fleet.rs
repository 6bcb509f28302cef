//! Tells other processes what providers have said of their limits, and this one what the others were told.
//!
//! It goes on beside the calls, at a beat: no call waits for it, and while the server that is shared is away each process
//! knows what it was told itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::pool::Provider;
use crate::route::Tables;
use crate::store::{AccountNews, Allowances};

/// The beat while there are calls: what one process was told the others know two beats later at most.
const BEAT: Duration = Duration::from_millis(100);
/// The beat of a process that has asked nobody for a while, and of one whose server is away.
const AT_REST: Duration = Duration::from_secs(1);
/// For how long a process that asks nobody any more keeps the quick beat.
const LATELY: Duration = Duration::from_secs(10);

/// Keeps the accounts of `tables` in step with other processes, until what is returned is dropped.
pub(super) fn keep_in_step(tables: Tables, allowances: Option<Allowances>) -> JoinSet<()> {
    let mut beating = JoinSet::new();
    if let Some(allowances) = allowances {
        beating.spawn(beat(tables, allowances));
    }
    beating
}

async fn beat(tables: Tables, allowances: Allowances) {
    let (mut attempts, mut last) = (0, Instant::now());
    loop {
        let is_quick = last.elapsed() < LATELY && allowances.is_there();
        tokio::time::sleep(if is_quick { BEAT } else { AT_REST }).await;
        let table = tables.current();
        // The built-in simulator is in this process alone.
        let providers: Vec<&Arc<Provider>> = table.providers().iter().filter(|one| !one.simulated).collect();
        if providers.is_empty() {
            continue;
        }
        let (now, mut sent) = (Instant::now(), 0_u64);
        let news = |provider: &&Arc<Provider>| {
            let (attempts, news) = provider.account.limit_news(now);
            sent = sent.saturating_add(attempts);
            (provider.tag(), news)
        };
        let news: Vec<AccountNews> = providers.iter().map(news).collect();
        if std::mem::replace(&mut attempts, sent) != sent {
            last = now;
        }
        // One that is away is asked all the same, which takes no time and counts as a failure: it is seen in metrics.
        let Some(known) = allowances.exchange(&news).await else { continue };
        for (provider, known) in providers.iter().zip(&known) {
            provider.account.agree(known, now);
        }
    }
}
