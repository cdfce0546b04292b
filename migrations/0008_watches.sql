-- How a video looked in its source when it was listed by a run that takes only changes.
alter table ingest_items add column fingerprint text;

-- Profile version, encoder and fingerprint under which a video was refused for its own fault: a watch, which nobody
-- attends, does not try the same again. The documents of a former version may be there: see the other columns.
alter table videos add column refused_as text;
