-- One row per party at the run's date: what is missing to reach state A and the strategy sets that would bring it.
select * from {{ ref('mdm_strategy_needs') }}
