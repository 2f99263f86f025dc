-- Nearly all times are written alike, and such a text is a moment by its form: days up to the 28th, and no year that could stand for
-- none. Only what is written otherwise needs the function that catches errors, which costs a subtransaction for each.

alter function staging.parse_timestamp(text, text, text) rename to parse_unusual_timestamp;

create function staging.parse_timestamp(value text, value_format text, time_zone text) returns timestamptz
-- Without `strict`, so that its one expression takes its place in the query.
language sql stable parallel unsafe
return case
    when
        value_format = ''
        and value ~ '^(19[1-589]|2\d\d)\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])[ T]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$'
        then value::timestamp at time zone time_zone
    else staging.parse_unusual_timestamp(value, value_format, time_zone)
end;

comment on function staging.parse_unusual_timestamp is
    'What staging.parse_timestamp asks where a text is not written in the usual way.';
comment on function staging.parse_timestamp is
    'The moment that a source''s text means: ISO 8601 or the format given (to_timestamp patterns), in the source''s time zone
when the text has none; null when it means no moment, or one that stands for none (before 1900-01-02, the epoch).';

revoke execute on function staging.parse_timestamp from public;
grant execute on function staging.parse_timestamp to sevenfold_transformer;
