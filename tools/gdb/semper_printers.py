# How gdb shows Result, Error, Bytes and BytesView of Semper.
#
#   (gdb) source /usr/share/semper/gdb/semper_printers.py      # or a line of ~/.gdbinit
#   (gdb) print port
#   $1 = ok 80
#   (gdb) print opened
#   $2 = error not_found: "no store at /data: make one with `semper store create`"
#   (gdb) print key
#   $3 = 3 bytes "k\x00\xff"
#
# They read memory alone, and call nothing in the program: they work on core files.
import gdb
import gdb.printing

SHOWN_BYTES = 200


def memory_of(value):
    """Address and length of a std::string or a std::string_view of libstdc++."""
    names = [field.name for field in value.type.strip_typedefs().fields()]
    if "_M_dataplus" in names:
        return int(value["_M_dataplus"]["_M_p"]), int(value["_M_string_length"])
    return int(value["_M_str"]), int(value["_M_len"])


def quoted(data):
    text = ""
    for byte in data:
        char = chr(byte)
        if char in "\"\\":
            text += "\\" + char
        elif 0x20 <= byte < 0x7F:
            text += char
        else:
            text += "\\x%02x" % byte
    return '"' + text + '"'


def text_of(value):
    address, length = memory_of(value)
    shown = min(length, SHOWN_BYTES)
    data = gdb.selected_inferior().read_memory(address, shown).tobytes() if shown else b""
    return quoted(data) + ("..." if shown < length else "")


def error_text(error):
    kind = str(error["kind_"]).rsplit("::", 1)[-1]
    text = kind + ": " + text_of(error["message_"])
    limit = error["limit_"]
    if int(limit["name"]) != 0:
        text += " (limit %s = %d)" % (limit["name"].string(), int(limit["value"]))
    return text


def member(value, name):
    """The member of that name, in the type or in a base of it, or None."""
    for field in value.type.strip_typedefs().fields():
        if field.is_base_class:
            found = member(value[field], name)
            if found is not None:
                return found
        elif field.name is None:  # an anonymous union
            found = member(value[field], name)
            if found is not None:
                return found
        elif field.name == name:
            return value[field]
    return None


class ErrorPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        return "error " + error_text(self.value)


class ResultPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        if bool(member(self.value, "m_has_val")):
            held = member(self.value, "m_val")
            if held is None:
                return "ok"
            name = held.type.strip_typedefs().name or ""
            # A template's argument has lost the name Bytes.
            if name.startswith(("std::__cxx11::basic_string<char,", "std::basic_string_view<char,")):
                return "ok " + BytesPrinter(held).to_string()
            return "ok " + held.format_string()
        return "error " + error_text(member(self.value, "m_unexpect")["m_val"])


class BytesPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        return "%d bytes %s" % (memory_of(self.value)[1], text_of(self.value))


class SemperPrinters(gdb.printing.PrettyPrinter):
    def __call__(self, value):
        named = value.type.unqualified()
        if named.code == gdb.TYPE_CODE_REF:
            named = named.target().unqualified()
            value = value.referenced_value()
        # Bytes is std::string by another name, and told apart by that.
        if named.name in ("semper::Bytes", "semper::BytesView"):
            return BytesPrinter(value)
        name = named.strip_typedefs().unqualified().name or ""
        if name == "semper::Error":
            return ErrorPrinter(value)
        if name.startswith("semper::Result<"):
            return ResultPrinter(value)
        return None


gdb.printing.register_pretty_printer(None, SemperPrinters("semper"), replace=True)
