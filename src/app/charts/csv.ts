/** One column of a table twin: what is shown on screen, and the raw value that goes into the file. */
export interface Column<Row> {
  id: string;
  /** Head of the column on screen. */
  label: string;
  value(row: Row): number | string | undefined;
  show(row: Row): string;
  /** Left-aligned text instead of a right-aligned number. */
  text?: boolean;
}

const quote = (field: string): string => (/[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);

/**
 * Rows as CSV with a head line, CRLF between records. Numbers are written in full precision with an ASCII minus; a value
 * that is not known is an empty field, which every reader takes as missing.
 * Source: RFC 4180, sections 2.1 to 2.7.
 */
export function toCsv<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const records = [columns.map((c) => quote(c.id))];
  for (const row of rows)
    records.push(
      columns.map((c) => {
        const value = c.value(row);
        if (value === undefined || (typeof value === "number" && !Number.isFinite(value))) return "";
        return quote(String(value));
      }),
    );
  return records.map((fields) => fields.join(",")).join("\r\n") + "\r\n";
}

/** Offers text as a download. The blob stays for a minute, because some browsers read it after the click returns. */
export function saveText(name: string, text: string, type = "text/csv;charset=utf-8"): void {
  saveBlob(name, new Blob([text], { type }));
}

export function saveBlob(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
