/** What would move a terminal's cursor, change its colours or turn the direction of writing; not tabs and line ends. */
export const rawControl = /[^\P{Cc}\t\n]|[\u202a-\u202e\u2066-\u2069]/u;
