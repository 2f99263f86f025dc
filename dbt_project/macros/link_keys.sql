{# Where the keys lie that the models know: the column of a customer record and of an interaction. Contact points have models
   of their own, so no column of a record. Which keys count, and which comes first, says the seed link_rules. #}
{% macro known_link_keys() %}
    {{ return([
        {'kind': 'source_customer_key', 'record': 'source_record_id', 'interaction': 'customer_source_record_id'},
        {'kind': 'loyalty_number', 'record': 'loyalty_number', 'interaction': 'loyalty_number'},
        {'kind': 'payment_token', 'record': 'payment_token', 'interaction': 'payment_token'},
        {'kind': 'receipt_number', 'record': 'receipt_number', 'interaction': 'receipt_number'},
        {'kind': 'email', 'record': none, 'interaction': 'email'},
        {'kind': 'phone', 'record': none, 'interaction': 'phone'},
        {'kind': 'device_id', 'record': 'device_id', 'interaction': 'device_id'},
        {'kind': 'address', 'record': none, 'interaction': none},
    ]) }}
{% endmacro %}
