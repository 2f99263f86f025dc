-- How firmly a group of records hangs together.
alter table intermediate.match_components
    add column weakest_link double precision,
    add column density double precision;

comment on column intermediate.match_components.weakest_link is
    'Probability of the least probable pair that the component hangs on; null for a record alone.';
comment on column intermediate.match_components.density is
    'Share of the component''s pairs that are joined, 0-1; 1 for a record alone.';
