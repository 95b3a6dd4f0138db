"""Runs a notebook to its end, shows what its cells print, and saves it with all outputs as HTML.

usage: run_notebook.py NOTEBOOK HTML SECRETS [ARGS...]

The cells see ARGS as sys.argv[1:] and work in the notebook's folder. SECRETS, a list in JSON, names the variables whose
values are masked in the HTML; what is shown goes through a masker of its own (mask_log.py). Exits 1 when a cell fails or the kernel dies,
after showing which cell it was and why; the HTML is saved all the same.
"""

import json
import os
import re
import sys

# The environment's kernels come before those that the machine's user has, which are of other environments.
os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"


def main(notebook_path, html_path, secrets, args):
    import nbformat
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    notebook = nbformat.read(notebook_path, as_version=4)
    folder = os.path.dirname(os.path.abspath(notebook_path))
    client = printing_client()(
        notebook, timeout=None, kernel_name=kernel_name(notebook), resources={"metadata": {"path": folder}}
    )
    client.prepare = "import sys; sys.argv = %r" % ([notebook_path] + args)
    failure = None
    try:
        client.execute()
    except (CellExecutionError, DeadKernelError) as error:
        failure = error
    if secrets:
        mask_secrets(notebook, secrets)
    save_html(notebook, html_path)
    if failure is None:
        return 0
    print(describe(notebook, client.current, failure), file=sys.stderr)
    return 1


def kernel_name(notebook):
    """The notebook's own kernel when the environment has it, else the environment's Python."""
    from jupyter_client.kernelspec import KernelSpecManager

    wanted = notebook.metadata.get("kernelspec", {}).get("name", "python3")
    folder = KernelSpecManager().find_kernel_specs().get(wanted, "")
    return wanted if folder.startswith(sys.prefix + os.sep) else "python3"


def printing_client():
    """A NotebookClient that passes the cells' text on as it comes and runs `prepare` before the first cell."""
    from nbclient import NotebookClient
    from nbclient.util import ensure_async

    class PrintingClient(NotebookClient):
        prepare = ""
        # The index of the cell that was begun last.
        current = None

        async def async_start_new_kernel_client(self):
            client = await super().async_start_new_kernel_client()
            await ensure_async(client.execute(self.prepare, silent=True, store_history=False))
            return client

        async def async_execute_cell(self, cell, cell_index, **options):
            self.current = cell_index
            return await super().async_execute_cell(cell, cell_index, **options)

        def output(self, outs, msg, display_id, cell_index):
            show(msg)
            return super().output(outs, msg, display_id, cell_index)

    return PrintingClient


def show(message):
    content = message["content"]
    kind = message["msg_type"]
    if kind == "stream":
        target = sys.stderr if content.get("name") == "stderr" else sys.stdout
        target.write(content["text"])
        target.flush()
    elif kind in ("execute_result", "display_data"):
        text = content.get("data", {}).get("text/plain")
        if text:
            print(text, flush=True)


def mask_secrets(notebook, names):
    kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        from mask_log import Masker, forms_of
    finally:
        sys.dont_write_bytecode = kept

    forms = forms_of(os.environb.get(os.fsencode(name), b"") for name in names)

    def masked(node):
        if isinstance(node, str):
            masker = Masker(forms)
            return (masker.feed(node.encode("utf-8", "surrogatepass")) + masker.end()).decode("utf-8", "replace")
        if isinstance(node, (list, dict)):
            for key in range(len(node)) if isinstance(node, list) else list(node):
                if not is_picture(key):
                    node[key] = masked(node[key])
        return node

    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = joined_streams(cell.outputs)
    masked(notebook)


def is_picture(key):
    """In base64, where a short secret may be found by chance."""
    return str(key).startswith(("image/", "audio/", "video/", "application/pdf")) and key != "image/svg+xml"


def joined_streams(outputs):
    """A text that was printed in pieces as one: a secret may lie across them."""
    joined = []
    for output in outputs:
        before = joined[-1] if joined else None
        if before and output.output_type == "stream" == before.output_type and output.name == before.name:
            before.text += output.text
        else:
            joined.append(output)
    return joined


def save_html(notebook, html_path):
    from nbconvert import HTMLExporter

    body, _ = HTMLExporter().from_notebook_node(notebook)
    temporary = html_path + ".tmp"
    # For this user alone, like the log beside it, whatever umask the notebook has.
    with open(temporary, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(body)
    os.replace(temporary, html_path)


def describe(notebook, index, failure):
    """Where and why, with the reason last: what is shown of a failed stage are its last lines."""
    lines = []
    if index is not None:
        source = notebook.cells[index].source
        lines += ["Cell %d failed:" % (index + 1)] + ["    " + line for line in source.splitlines()]
    # Colours mean nothing in a log.
    traceback = re.sub(r"\x1b\[[0-9;]*m", "", getattr(failure, "traceback", "") or "")
    lines += [traceback.strip()] if traceback.strip() else []
    reason = "%s: %s" % (failure.ename, failure.evalue) if hasattr(failure, "ename") else str(failure)
    return "\n".join(lines if lines and lines[-1].endswith(reason) else lines + [reason])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4:]))
