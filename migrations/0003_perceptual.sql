-- The perceptual distance's part of the loss, its weight included; 0 where a network had no say.

alter table training_point add column perceptual real not null default 0;
