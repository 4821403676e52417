-- A look-up is of a note or of a project, and by digest. PostgreSQL guesses until it has counted, and took the index of the note
-- alone then, all of it; with these there is nothing to guess.

DROP INDEX occurrences_of_digest;
CREATE INDEX occurrences_of_note_and_digest ON occurrences (note_project, note, digest, seq);
CREATE INDEX occurrences_of_project_and_digest ON occurrences (project, digest, seq);
