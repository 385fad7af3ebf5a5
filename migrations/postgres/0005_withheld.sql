-- Who was passed a lead that was restricted at the time, and so was told nothing of it; and when it was
-- given the lead after all.
CREATE TABLE withheld (
    client_id BIGINT NOT NULL REFERENCES client (id),
    lead_id UUID NOT NULL,
    withheld_at BIGINT NOT NULL,
    disclosed_at BIGINT,
    PRIMARY KEY (client_id, lead_id)
);
