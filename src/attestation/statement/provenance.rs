//! SLSA provenance, v0.1, v0.2 and v1: who built it, from which source, and whether the source said how.
//!
//! Of materials and parameters only what answers these is read. Which builders and sources are trusted is the
//! checks' business.

use std::time::SystemTime;

use serde::Deserialize;

use super::{Trouble, object, time};
use crate::document::{Object, UniqueMap};

/// How something was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// `builder.id`; never empty.
    pub builder: String,
    /// The source repository's URI as written, `git+` and `@ref` included: where the build's configuration
    /// came from, or else the first of the materials that lies in git.
    pub source: Option<String>,
    /// Whether the build was configured by a file of the source.
    pub config_based: bool,
    /// When the build ended, where it says so.
    pub finished: Option<SystemTime>,
}

#[derive(Deserialize)]
struct Builder {
    id: String,
}

/// A material (v0.1, v0.2) or a resolved dependency (v1).
#[derive(Deserialize)]
struct Material {
    uri: Option<String>,
    digest: Option<UniqueMap<String>>,
}

type Materials = Option<Vec<Object<Material>>>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuildMetadata {
    build_finished_on: Option<String>,
}

/// SLSA provenance v0.1.
pub(super) fn v01(text: &str) -> Result<Provenance, Trouble> {
    #[derive(Deserialize)]
    struct Predicate {
        builder: Object<Builder>,
        recipe: Option<Object<Recipe>>,
        metadata: Option<Object<BuildMetadata>>,
        materials: Materials,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Recipe {
        defined_in_material: Option<usize>,
        entry_point: Option<String>,
    }
    let read: Predicate = object(text)?;
    let recipe = read.recipe.map(|Object(recipe)| recipe);
    let defined_in = recipe.as_ref().and_then(|recipe| recipe.defined_in_material);
    let materials = read.materials.as_deref().unwrap_or_default();
    let source = match defined_in {
        Some(place) => {
            let missing =
                || Trouble(format!("there is no material {place}, which `definedInMaterial` names"));
            materials.get(place).ok_or_else(missing)?.0.uri.clone()
        }
        None => None,
    };
    let config = Config { source, path: recipe.and_then(|recipe| recipe.entry_point) };
    provenance(read.builder, config, &read.materials, ended(read.metadata)?)
}

/// SLSA provenance v0.2.
pub(super) fn v02(text: &str) -> Result<Provenance, Trouble> {
    #[derive(Deserialize)]
    struct Predicate {
        builder: Object<Builder>,
        invocation: Option<Object<Invocation>>,
        metadata: Option<Object<BuildMetadata>>,
        materials: Materials,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Invocation {
        config_source: Option<Object<ConfigSource>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ConfigSource {
        uri: Option<String>,
        entry_point: Option<String>,
    }
    let read: Predicate = object(text)?;
    let config = match read.invocation.and_then(|Object(invocation)| invocation.config_source) {
        Some(Object(source)) => Config { source: source.uri, path: source.entry_point },
        None => Config::default(),
    };
    provenance(read.builder, config, &read.materials, ended(read.metadata)?)
}

/// SLSA provenance v1. Where the configuration lies is known of the build types of Google Cloud Build and of
/// GitHub's workflows, by the names of their parameters.
pub(super) fn v1(text: &str) -> Result<Provenance, Trouble> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Predicate {
        build_definition: Object<BuildDefinition>,
        run_details: Object<RunDetails>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct BuildDefinition {
        #[serde(rename = "buildType")]
        _build_type: String,
        external_parameters: Option<Object<Parameters>>,
        resolved_dependencies: Materials,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Parameters {
        build_config_source: Option<Object<FileInRepository>>,
        workflow: Option<Object<FileInRepository>>,
    }
    #[derive(Deserialize)]
    struct FileInRepository {
        repository: Option<String>,
        path: Option<String>,
    }
    #[derive(Deserialize)]
    struct RunDetails {
        builder: Object<Builder>,
        metadata: Option<Object<Metadata>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        finished_on: Option<String>,
    }
    let Predicate { build_definition: Object(definition), run_details: Object(run) } = object(text)?;
    let parameters = definition.external_parameters.map(|Object(parameters)| parameters);
    let file = match parameters.map(|both| (both.build_config_source, both.workflow)) {
        Some((Some(_), Some(_))) => {
            return Err(Trouble("both `buildConfigSource` and `workflow` say where the build lies".into()));
        }
        Some((one, other)) => one.or(other),
        None => None,
    };
    let config = match file {
        Some(Object(file)) => Config { source: file.repository, path: file.path },
        None => Config::default(),
    };
    let finished = run.metadata.and_then(|Object(metadata)| metadata.finished_on);
    let finished = finished.map(|text| time("finishedOn", &text)).transpose()?;
    provenance(run.builder, config, &definition.resolved_dependencies, finished)
}

/// Where the configuration of a build came from.
#[derive(Default)]
struct Config {
    source: Option<String>,
    path: Option<String>,
}

fn provenance(
    Object(builder): Object<Builder>,
    config: Config,
    materials: &Materials,
    finished: Option<SystemTime>,
) -> Result<Provenance, Trouble> {
    let builder = filled(Some(builder.id)).ok_or_else(|| Trouble("`builder.id` is empty".into()))?;
    let configured = filled(config.source);
    let config_based = configured.is_some() && filled(config.path).is_some();
    let source = configured.or_else(|| only_in_git(materials.as_deref().unwrap_or_default()));
    Ok(Provenance { builder, source, config_based, finished })
}

fn ended(metadata: Option<Object<BuildMetadata>>) -> Result<Option<SystemTime>, Trouble> {
    let text = metadata.and_then(|Object(metadata)| metadata.build_finished_on);
    text.map(|text| time("buildFinishedOn", &text)).transpose()
}

/// The one material in git; of several it cannot be told which is the source.
fn only_in_git(materials: &[Object<Material>]) -> Option<String> {
    let in_git = |material: &Material| {
        let uri = material.uri.as_deref().unwrap_or_default();
        let names = |digest: &UniqueMap<String>| {
            digest.0.iter().any(|(name, _)| matches!(name.as_str(), "gitCommit" | "sha1"))
        };
        uri.starts_with("git+") || uri.starts_with("git:") || material.digest.as_ref().is_some_and(names)
    };
    let mut found = materials.iter().map(|Object(material)| material).filter(|material| in_git(material));
    let only = found.next()?.uri.clone();
    if found.any(|other| other.uri != only) { None } else { filled(only) }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
