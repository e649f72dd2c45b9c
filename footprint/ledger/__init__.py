"""The ledger: append-only store of what was measured. It keeps raw samples; attribution takes the differences.

Files to rows    readers (csv_reader, jsonl_reader, parquet_reader over core.line_chunks) -> record_batch
                 column_parsers; energy_file, request_file and user_count_file -> typed rows; rejects
Imports          importers; codecarbon_import, prometheus_import, prometheus_request_import; import_batches
Agents' records  ingest, agent_records
Writing          reading_writer, request_writer, stream_ids, day_versions
Reading          ledger_view, over SQL and the archive
Archive          archive_writer, archive_reader, archive_withdrawal, parquet_segments, object_store, verifier, minisign
Factors          factor_store, intensity_series, sources/
Housekeeping     retention, backup
"""
