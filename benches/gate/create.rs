//! What the create gate costs: what NRI and the hook add to creations and starts, the daemon's own part, and
//! how many at once it bears.

use super::programs::Programs;
use super::table::Table;

mod added;
mod many;
mod place;
mod pods;
mod rate;

use place::Place;

/// Prints all of it.
///
/// # Errors
/// What was refused that is attested.
pub(crate) async fn measure(programs: &Programs, table: &mut Table) -> Result<(), String> {
    let mut place = Place::set(programs).await;
    added::to_creations(&mut place, table).await;
    added::to_starts(&place, table).await;
    added::to_the_runtime(&place, programs, table).await;
    let refused = pods::measure(&mut place, table).await;
    rate::measure(&mut place, table).await;
    many::measure(&mut place, table).await;
    place.daemon.kill();
    place.node.stop().await;
    refused
}
