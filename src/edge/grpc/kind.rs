//! What kind of call a path names, told before anything else is known of it.

use tonic_health::pb::health_server;

use crate::proto::completion_service_server::SERVICE_NAME;

/// What both versions of reflection begin with.
const REFLECTION: &str = "/grpc.reflection.";

/// What kind of call a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum Kind {
    /// How the server is, asked once.
    Check,
    /// How the server is, for as long as its client likes.
    Watch,
    /// What the server offers, for as long as its client likes.
    Reflection,
    /// Many completions in one message.
    Batch,
    /// Many completions in as many messages as their caller sends.
    StreamBatch,
    /// Any other method for callers.
    Completion,
    /// What operators ask, and what there is not.
    Other,
}

impl Kind {
    /// The kind of the call to `path`.
    pub(in crate::edge) fn of(path: &str) -> Self {
        match (method(path, SERVICE_NAME), method(path, health_server::SERVICE_NAME)) {
            (Some("BatchComplete"), _) => Self::Batch,
            (Some("StreamBatchComplete"), _) => Self::StreamBatch,
            (Some(_), _) => Self::Completion,
            (_, Some("Watch")) => Self::Watch,
            (_, Some(_)) => Self::Check,
            _ if path.starts_with(REFLECTION) => Self::Reflection,
            _ => Self::Other,
        }
    }

    /// Whether the call is bounded in number: an operator and a probe shall get through to a server that is full.
    pub(super) const fn is_counted(self) -> bool {
        matches!(self, Self::Batch | Self::StreamBatch | Self::Completion)
    }

    /// Whether it is many calls in one.
    pub(super) const fn is_batch(self) -> bool {
        matches!(self, Self::Batch | Self::StreamBatch)
    }

    /// Whether it asks how the server is, which needs no key.
    pub(super) const fn is_health(self) -> bool {
        matches!(self, Self::Check | Self::Watch)
    }
}

/// The method of `service` that `path` names.
fn method<'a>(path: &'a str, service: &str) -> Option<&'a str> {
    path.strip_prefix('/')?.strip_prefix(service)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_the_kind_of_its_method_and_what_only_looks_like_it_is_not() {
        let kinds = [
            ("/completiond.v1.CompletionService/Complete", Kind::Completion),
            ("/completiond.v1.CompletionService/", Kind::Completion),
            ("/completiond.v1.CompletionService/BatchComplete", Kind::Batch),
            ("/completiond.v1.CompletionService/StreamBatchComplete", Kind::StreamBatch),
            ("/completiond.v1.CompletionService", Kind::Other),
            ("/completiond.v1.CompletionServices/Complete", Kind::Other),
            ("/completiond.v1.AdminService/GetPool", Kind::Other),
            ("/grpc.health.v1.Health/Check", Kind::Check),
            ("/grpc.health.v1.Health/List", Kind::Check),
            ("/grpc.health.v1.Health/Watch", Kind::Watch),
            ("/grpc.health.v1.Healthy/Watch", Kind::Other),
            ("grpc.health.v1.Health/Watch", Kind::Other),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Kind::Reflection),
            ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Kind::Reflection),
            ("/", Kind::Other),
            ("", Kind::Other),
        ];
        for (path, kind) in kinds {
            assert_eq!(Kind::of(path), kind, "{path}");
        }
    }
}
