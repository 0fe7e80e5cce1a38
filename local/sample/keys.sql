-- Foreign keys, after the rows: one look over a table is faster than one per row.

ALTER TABLE addresses ADD FOREIGN KEY (member_id) REFERENCES members;
ALTER TABLE devices ADD FOREIGN KEY (member_id) REFERENCES members;
ALTER TABLE staff ADD FOREIGN KEY (manager_id) REFERENCES staff;
ALTER TABLE consents ADD FOREIGN KEY (member_id) REFERENCES members;
ALTER TABLE invoices ADD FOREIGN KEY (member_id) REFERENCES members;
ALTER TABLE documents ADD FOREIGN KEY (member_id) REFERENCES members;

ALTER TABLE care.team_members ADD FOREIGN KEY (team_id) REFERENCES care.teams, ADD FOREIGN KEY (staff_id) REFERENCES staff;
ALTER TABLE care.plans ADD FOREIGN KEY (member_id) REFERENCES members, ADD FOREIGN KEY (team_id) REFERENCES care.teams;
ALTER TABLE care.tasks ADD FOREIGN KEY (plan_id) REFERENCES care.plans, ADD FOREIGN KEY (assignee_id) REFERENCES staff;
ALTER TABLE care.appointments ADD FOREIGN KEY (member_id) REFERENCES members, ADD FOREIGN KEY (staff_id) REFERENCES staff;
ALTER TABLE care.measurements ADD FOREIGN KEY (member_id) REFERENCES members,
  ADD FOREIGN KEY (device_id) REFERENCES devices;
ALTER TABLE care.conversations ADD FOREIGN KEY (member_id) REFERENCES members,
  ADD FOREIGN KEY (team_id) REFERENCES care.teams;
ALTER TABLE care.messages ADD FOREIGN KEY (conversation_id) REFERENCES care.conversations;
ALTER TABLE care.notes ADD FOREIGN KEY (member_id) REFERENCES members, ADD FOREIGN KEY (author_id) REFERENCES staff;

ALTER TABLE builder.fields ADD FOREIGN KEY (form_id) REFERENCES builder.forms;
ALTER TABLE builder.submissions ADD FOREIGN KEY (form_id) REFERENCES builder.forms,
  ADD FOREIGN KEY (member_id) REFERENCES members;
