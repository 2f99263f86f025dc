-- A source writes times in its own way, and one wrong date must not stop a million right ones.

create function staging.parse_timestamp(value text, value_format text, time_zone text) returns timestamptz
-- Catching an error needs a subtransaction, which a parallel query cannot have.
language plpgsql stable strict parallel unsafe
as $$
begin
    if value_format <> '' then
        return to_timestamp(value, value_format)::timestamp at time zone time_zone;
    end if;
    if value !~ '^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)? ?(Z|[+-]\d{2}(:?\d{2})?)?$' then
        return null;
    end if;
    if value ~ '(Z|:\d{2}(\.\d+)? ?[+-]\d{2}(:?\d{2})?)$' then
        return value::timestamptz;
    end if;
    return value::timestamp at time zone time_zone;
exception
    when data_exception then
        return null;
end;
$$;

comment on function staging.parse_timestamp is
    'The moment that a source''s text means: ISO 8601 or the format given (to_timestamp patterns), in the source''s time zone
when the text has none; null when it means no moment.';

revoke execute on function staging.parse_timestamp from public;
grant execute on function staging.parse_timestamp to sevenfold_transformer;
