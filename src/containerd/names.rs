//! When a name counts: the image store holds a record of exactly that name, and it leads to what runs.

use std::collections::BTreeSet;

use super::client::{Containerd, ReadError};
use super::links::Links;
use crate::image::{Digest, Reference};

/// What the image store had of a name when it was asked: it may be moved at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    /// The name as containerd records it.
    pub recorded: Reference,
    /// What it points at.
    pub target: Digest,
}

impl Containerd {
    /// The record of `name`, a pod's own text, as containerd would have it (`:latest` where it has neither tag
    /// nor digest; without its tag where it has a digest, since nobody looked at that); none where there is no
    /// record of that very name. One RPC (`Images.Get`).
    ///
    /// # Errors
    /// Those of [`Containerd::image`].
    pub async fn pointer(&self, namespace: &str, name: &Reference) -> Result<Option<Pointer>, ReadError> {
        let Some(recorded) = as_recorded(name) else { return Ok(None) };
        let target = self.image(namespace, &recorded.to_string()).await?;
        Ok(target.map(|target| Pointer { recorded, target }))
    }
}

impl Links {
    /// The configs on this chain ID that `pointer` leads to. A digest in the name must be one of those that
    /// lead there.
    ///
    /// The RPCs of [`Links::leaves`]; where an index lacked children and leads to none of `wanted`, or to nothing
    /// where nothing is wanted by name, once more. Each of the two within the deadline of `containerd`.
    ///
    /// # Errors
    /// Those of [`Links::leaves`]; [`ReadError::NotThere`] where the target has no bytes.
    pub async fn led(
        &self,
        containerd: &Containerd,
        namespace: &str,
        pointer: &Pointer,
        chain: Option<Digest>,
        wanted: &[Digest],
    ) -> Result<BTreeSet<Digest>, ReadError> {
        let Pointer { recorded, target } = pointer;
        self.leaves(containerd, namespace, *target).await?;
        let led = || {
            let facts = self.facts();
            (facts.led(*target, chain, recorded.digest()), facts.is_whole(*target))
        };
        let (configs, is_whole) = led();
        let is_enough = match wanted {
            [] => !configs.is_empty(),
            wanted => wanted.iter().any(|config| configs.contains(config)),
        };
        if is_enough || is_whole {
            return Ok(configs);
        }
        self.look(containerd, namespace, *target, None).await?;
        Ok(led().0)
    }
}

/// The name of the record that containerd would have of `name` (`ParseDockerRef`).
fn as_recorded(name: &Reference) -> Option<Reference> {
    let text = match (name.tag(), name.digest()) {
        (_, Some(digest)) => format!("{}@{digest}", name.repository()),
        (Some(tag), None) => format!("{}:{tag}", name.repository()),
        (None, None) => format!("{}:latest", name.repository()),
    };
    Reference::parse(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_records() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let rows = [
            ("nginx".to_owned(), "docker.io/library/nginx:latest".to_owned()),
            ("nginx:1".to_owned(), "docker.io/library/nginx:1".to_owned()),
            ("docker.io/nginx:1".to_owned(), "docker.io/library/nginx:1".to_owned()),
            ("localhost:5000/a".to_owned(), "localhost:5000/a:latest".to_owned()),
            (format!("r.io/a@{digest}"), format!("r.io/a@{digest}")),
            (format!("r.io/a:1@{digest}"), format!("r.io/a@{digest}")),
        ];
        for (text, recorded) in rows {
            let name = Reference::parse(&text).unwrap();
            assert_eq!(as_recorded(&name).unwrap().to_string(), recorded, "{text}");
        }
    }
}
