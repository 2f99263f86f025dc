-- What a system writes where it has no time (year 1, 1900-01-01, the epoch, a year of two digits) is none: taken for one, it
-- would move month 0, and with it the first of the quarters to compute, by decades.

create or replace function staging.parse_timestamp(value text, value_format text, time_zone text) returns timestamptz
-- Catching an error needs a subtransaction, which a parallel query cannot have.
language plpgsql stable strict parallel unsafe
as $$
declare
    moment timestamptz;
begin
    if value_format <> '' then
        moment := to_timestamp(value, value_format)::timestamp at time zone time_zone;
    elsif value !~ '^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?)? ?(Z|[+-]\d{2}(:?\d{2})?)?$' then
        return null;
    elsif value ~ '(Z|:\d{2}(\.\d+)? ?[+-]\d{2}(:?\d{2})?)$' then
        moment := value::timestamptz;
    else
        moment := value::timestamp at time zone time_zone;
    end if;
    if moment at time zone time_zone < '1900-01-02' or moment in ('epoch', timestamp 'epoch' at time zone time_zone) then
        return null;
    end if;
    return moment;
exception
    when data_exception then
        return null;
end;
$$;

comment on function staging.parse_timestamp is
    'The moment that a source''s text means: ISO 8601 or the format given (to_timestamp patterns), in the source''s time zone
when the text has none; null when it means no moment, or one that stands for none (before 1900-01-02, the epoch).';
