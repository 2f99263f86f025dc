{# Forget the dates that are neither a published quarter nor computed by this run: of daily runs the latest stays. #}
{% macro forget_passed_dates() %}
    {% set published = published_relation('fct_customer_state_shares') %}
    {% if is_incremental() %}
    delete from {{ this }}
    where
        snapshot_date not in (select dates.snapshot_date from {{ ref('int_snapshot_dates') }} as dates)
        {% if published %}
        and snapshot_date not in (select shares.snapshot_date from {{ published }} as shares)
        {% endif %}
    {% endif %}
{% endmacro %}
