{# Forget the dates that this run computes, and all that are no published quarter: of daily runs the latest stays. What is computed is
   then appended, so that the dates that stay are read once. #}
{% macro keep_other_published_dates() %}
    {% set published = published_relation('fct_customer_state_shares') %}
    {% if is_incremental() and published %}
        delete from {{ this }}
        where
            snapshot_date in (select dates.snapshot_date from {{ ref('int_snapshot_dates') }} as dates)
            or snapshot_date not in (select shares.snapshot_date from {{ published }} as shares)
    {% elif is_incremental() %}
        truncate {{ this }}
    {% endif %}
{% endmacro %}
