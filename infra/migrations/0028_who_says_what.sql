-- What a run did and found is for the login to write that runs it: no role of a step needs to, and one could unsay what a door found.
revoke insert, update, delete on quality.control_results from sevenfold_transformer;
revoke insert, update on ops.pipeline_runs, ops.run_stages from sevenfold_loader, sevenfold_transformer, sevenfold_publisher;
grant update (status_code, rows_published) on ops.pipeline_runs to sevenfold_publisher;
