{# The canonical fields of a customer record that come as text, in their order (docs/how_to/add_a_source.md). #}
{% macro customer_record_fields() %}
    {{ return([
        'full_name', 'first_name', 'middle_name', 'first_last_name', 'second_last_name', 'birth_date', 'national_identifier', 'gender',
        'email', 'phone', 'street_address', 'postal_code', 'city', 'region', 'country', 'occupation',
        'loyalty_number', 'payment_token', 'device_id', 'receipt_number',
    ]) }}
{% endmacro %}
