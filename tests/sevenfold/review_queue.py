"""A published review queue of two pairs, as the model makes it: personal data, evidence, what hangs on it."""

from sevenfold.warehouse import connect

PERSONAL = ("Ana", "CRUZ", "ana@example.com")
INPUTS = """
    create table intermediate.int_match_inputs as
    select * from (values ('crm:1', 'h1'), ('pos:2', 'h2'), ('pos:3', 'h3'), ('web:4', 'h4'))
        as t (source_record_id, match_hash);
"""
QUEUE = """
    create table restricted.match_review_queue as
    select
        left_record_id, right_record_id, 'guard' as waiting_reason_code, 'given_name_contradicts' as guard_code,
        'the given names contradict' as guard_description,
        null::bigint as judgement_id, 'h1' as left_hash, right_hash, 'C0000000001' as left_customer_id,
        'C0000000002' as right_customer_id, 'A' as left_state_code, null::text as right_state_code,
        'Ana' as left_first_name, '=cmd()' as right_first_name, null::text as left_middle_name,
        null::text as right_middle_name, 'CRUZ' as left_first_last_name, 'CRUZ' as right_first_last_name,
        null::text as left_second_last_name, null::text as right_second_last_name, null::date as left_birth_date,
        '1990-01-02'::date as right_birth_date, null::text as left_national_identifier,
        null::text as right_national_identifier, null::text as left_gender, null::text as right_gender,
        'ana@example.com' as left_email, null::text as right_email, '+525512345678' as left_phone,
        null::text as right_phone, null::text as left_street_address, null::text as right_street_address,
        null::text as left_postal_code, null::text as right_postal_code, null::text as left_city,
        null::text as right_city, 'T-1' as left_payment_token, null::text as right_payment_token,
        '{"given_name": -8.0, "email": 12.5}'::jsonb as evidence, 4.5 as match_weight,
        0.97 as match_probability, 0.03 as expected_share, 1 as left_record_count, 3 as right_record_count,
        priority_score, false as is_one_customer
    from (values ('crm:1', 'pos:3', 'h3', 1.0), ('crm:1', 'pos:2', 'h2', 2.0))
        as t (left_record_id, right_record_id, right_hash, priority_score);
"""


def publish_queue() -> None:
    """Make the queue and the records it is about."""
    with connect("transformer") as connection:
        connection.execute(INPUTS)
    with connect("publisher") as connection:
        connection.execute(QUEUE)
