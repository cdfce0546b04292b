-- How a video's file looked when it was refused for its own fault: a watch tries it again when it looks different.
alter table videos add column failed_fingerprint text;
