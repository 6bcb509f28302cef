//! What a completion is: requests, content, events, usage, money, errors.
//!
//! Pure values and functions over them. Nothing here knows protobuf, HTTP, tokio, a clock or a provider.

mod allowance;
mod caller;
mod content;
mod error;
mod event;
mod fold;
mod identity;
mod kept;
mod model;
mod money;
mod origin;
mod outcome;
mod prompt_cache;
mod request;
mod state;
mod terms;
mod token_count;
mod tool;
mod usage;

pub use allowance::*;
pub use caller::*;
pub use content::*;
pub use error::*;
pub use event::*;
pub use fold::*;
pub use identity::*;
pub use kept::*;
pub use model::*;
pub use money::*;
pub use origin::*;
pub use outcome::*;
pub use prompt_cache::*;
pub use request::*;
pub use state::*;
pub use terms::*;
pub use token_count::*;
pub use tool::*;
pub use usage::*;
