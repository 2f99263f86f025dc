-- What: the entity levels are the paper's: 1 unique, 2 match, 3 namesake, which the models write.
-- Why it would fail: a level was added, removed or renamed in the seed only. A returned row stands on one side alone.
select
    coalesce(levels.entity_level::integer, papers.entity_level) as entity_level,
    levels.entity_level_code,
    papers.papers_code
from {{ ref('entity_levels') }} as levels
full outer join (values (1, 'unique'), (2, 'match'), (3, 'namesake')) as papers (entity_level, papers_code)
    on
        levels.entity_level::integer = papers.entity_level
        and levels.entity_level_code = papers.papers_code
where levels.entity_level is null or papers.entity_level is null
