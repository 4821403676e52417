//! When a name counts: the image store holds a record of exactly that name, and it leads to what runs.

use std::collections::BTreeSet;

use super::client::{Containerd, ReadError};
use super::links::Links;
use crate::image::{Digest, Reference};

impl Links {
    /// Whether `name`, the pod's own text, leads to this config on this chain ID now: the name as containerd
    /// records it (`:latest` where it has neither tag nor digest; without its tag where it has a digest, since
    /// nobody looked at that), or none. A digest in the name must be one of those that lead there.
    ///
    /// One RPC (`Images.Get`), and those of [`Links::leaves`] for what the name points at; where an index
    /// lacked children and does not lead there, once more. Each of the three within the deadline of
    /// `containerd`.
    ///
    /// # Errors
    /// Those of [`Containerd::image`] and [`Links::leaves`]; [`ReadError::NotThere`] where the name's target
    /// has no bytes.
    pub async fn name_leads_to(
        &self,
        containerd: &Containerd,
        namespace: &str,
        name: &Reference,
        config: Digest,
        chain: Option<Digest>,
    ) -> Result<Option<Reference>, ReadError> {
        let led = self.name_leads_to_any(containerd, namespace, name, &[config], chain).await?;
        Ok(led.filter(|(_, configs)| configs.contains(&config)).map(|(recorded, _)| recorded))
    }

    /// The same for several configs on one chain ID, with no more RPCs: the name as containerd records it, and
    /// to which of them it leads.
    ///
    /// # Errors
    /// As [`Links::name_leads_to`].
    pub async fn name_leads_to_any(
        &self,
        containerd: &Containerd,
        namespace: &str,
        name: &Reference,
        configs: &[Digest],
        chain: Option<Digest>,
    ) -> Result<Option<(Reference, BTreeSet<Digest>)>, ReadError> {
        let Some(recorded) = as_recorded(name) else { return Ok(None) };
        let Some(target) = containerd.image(namespace, &recorded.to_string()).await? else {
            return Ok(None);
        };
        self.leaves(containerd, namespace, target).await?;
        let leading = || {
            let facts = self.facts();
            let led = |config: &&Digest| {
                let digests = facts.leading(target, chain, **config);
                recorded.digest().map_or(!digests.is_empty(), |pinned| digests.contains(&pinned))
            };
            let led: BTreeSet<Digest> = configs.iter().filter(led).copied().collect();
            (led, facts.is_whole(target))
        };
        let (mut led, is_whole) = leading();
        if led.is_empty() && !is_whole {
            self.look(containerd, namespace, target, None).await?;
            (led, _) = leading();
        }
        Ok(Some((recorded, led)))
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
