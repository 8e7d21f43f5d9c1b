-- ML Metadata indexes the text of properties as a whole, and PostgreSQL refuses values above
-- 2,704 bytes in such an index. A hash index finds equal values of any length. Run once, by
-- the owner of the tables, after they have been made (`segline lineage runs` makes them):
--   psql --host=… --username=segline segline -f infra/postgresql/large-values.sql
BEGIN;
DROP INDEX IF EXISTS idx_artifact_property_string;
DROP INDEX IF EXISTS idx_execution_property_string;
DROP INDEX IF EXISTS idx_context_property_string;
CREATE INDEX idx_artifact_property_string ON artifactproperty USING hash (string_value);
CREATE INDEX idx_execution_property_string ON executionproperty USING hash (string_value);
CREATE INDEX idx_context_property_string ON contextproperty USING hash (string_value);
COMMIT;
