#include "dpkg_log.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>

#include "semper/base/bytes.h"

namespace packages {
namespace {

using semper::ErrorKind;
using semper::fail;

// The lines of a file, plain or gzipped. A last line without its end is still being written: it is
// left for another time.
class LineReader {
 public:
  static semper::Result<LineReader> open(const std::string& path) {
    errno = 0;
    gzFile file = gzopen(path.c_str(), "rb");
    if (file == nullptr) {
      return fail(semper::error_from_errno(errno == 0 ? ENOMEM : errno, "opening " + path));
    }
    gzbuffer(file, 1u << 18);
    return LineReader(path, file);
  }

  // Nothing at the end. A line over kLineBytesMaximum comes cut.
  semper::Result<std::optional<std::string_view>> next() {
    line_.clear();
    while (true) {
      if (begin_ == end_) {
        errno = 0;
        const int got = gzread(file_.get(), buffer_.data(), static_cast<unsigned>(buffer_.size()));
        if (got < 0) return fail(read_error());
        if (got == 0) {
          // A .gz that was cut off ends like a file that ends; only this tells.
          if (gzclose_r(file_.release()) == Z_BUF_ERROR) return fail(cut_off());
          return std::optional<std::string_view>();
        }
        begin_ = buffer_.data();
        end_ = begin_ + got;
      }
      const char* const newline = std::find(begin_, end_, '\n');
      const auto room = kLineBytesMaximum - std::min(line_.size(), kLineBytesMaximum);
      line_.append(begin_, std::min<std::size_t>(static_cast<std::size_t>(newline - begin_), room));
      begin_ = newline;
      if (newline != end_) {
        ++begin_;
        return std::optional<std::string_view>(line_);
      }
    }
  }

 private:
  struct Close {
    void operator()(gzFile file) const { gzclose_r(file); }
  };

  LineReader(std::string path, gzFile file) : path_(std::move(path)), file_(file) {
    buffer_.resize(1u << 18);
  }

  semper::Error cut_off() const {
    return {ErrorKind::corrupt, path_ +
                                    " ends in the middle of its compressed data; restore it, or "
                                    "name the other files with --log"};
  }
  semper::Error read_error() {
    int number = 0;
    const std::string text = gzerror(file_.get(), &number);
    if (number == Z_ERRNO) return semper::error_from_errno(errno, "reading " + path_);
    return {ErrorKind::corrupt,
            path_ + " is damaged (" + text + "); restore it, or name the other files with --log"};
  }

  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
  std::string buffer_;
  const char* begin_ = nullptr;
  const char* end_ = nullptr;
  std::string line_;
};

// The line's first six fields at most; more of them are one more field.
struct Fields {
  std::array<std::string_view, 7> at;
  std::size_t count = 0;
};
Fields split(std::string_view line) {
  Fields fields;
  while (fields.count < fields.at.size() && !line.empty()) {
    const auto space = std::min(line.find(' '), line.size());
    fields.at[fields.count++] = line.substr(0, space);
    line.remove_prefix(std::min(space + 1, line.size()));
  }
  return fields;
}

bool is_entity_id(std::string_view package) {
  return semper::EntityId{std::string(Package::kName), std::string(package)}.validate().has_value();
}

// What one line says: an event, something else, or nothing that dpkg writes.
enum class LineKind { status, other, not_understood };
LineKind parse_line(std::string_view line, StatusEvent& event) {
  const Fields fields = split(line);
  if (fields.count < 3) return LineKind::not_understood;
  const auto second = parse_time(fields.at[0], fields.at[1]);
  if (!second) return LineKind::not_understood;
  if (fields.at[2] != "status") return LineKind::other;
  if (fields.count != 6 || !is_entity_id(fields.at[4]) || !semper::is_utf8(line)) {
    return LineKind::not_understood;
  }
  event.package = fields.at[4];
  event.entry.time = line.substr(0, fields.at[0].size() + 1 + fields.at[1].size());
  event.entry.status = fields.at[3];
  event.entry.version = fields.at[5];
  event.entry.position = {*second, 0};
  return LineKind::status;
}

// dpkg.log.3.gz -> 3, dpkg.log -> 0: older files have higher numbers.
int rotation_of(const std::string& path) {
  std::string name = std::filesystem::path(path).filename();
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  const auto dot = name.rfind('.');
  int number = 0;
  for (const char c : name.substr(dot + 1)) {
    if (c < '0' || c > '9' || number > 100'000) return 0;
    number = number * 10 + (c - '0');
  }
  return number;
}

// The time of the first line that has one; nothing in a file without such a line.
semper::Result<std::optional<std::int64_t>> first_time(const std::string& path) {
  SEMPER_TRY(auto reader, LineReader::open(path));
  while (true) {
    SEMPER_TRY(const auto line, reader.next());
    if (!line) return std::optional<std::int64_t>();
    const Fields fields = split(*line);
    if (fields.count < 2) continue;
    if (const auto second = parse_time(fields.at[0], fields.at[1])) return std::optional(*second);
  }
}

semper::Status order_by_time(DpkgLog& log) {
  struct File {
    std::string path;
    std::int64_t second;
    int rotation;
  };
  std::vector<File> files;
  std::set<std::filesystem::path> seen;
  for (const auto& path : log.files) {
    std::error_code error;
    const auto real = std::filesystem::canonical(path, error);
    if (error) return fail(semper::error_from_errno(error.value(), "opening " + path));
    if (!seen.insert(real).second) {
      log.notes.push_back(path + " was named before: read once");
      continue;
    }
    SEMPER_TRY(const auto second, first_time(path));
    if (!second) {
      log.notes.push_back(path + " has no line that begins with a time: left out");
      continue;
    }
    files.push_back({path, *second, rotation_of(path)});
  }
  std::stable_sort(files.begin(), files.end(), [](const File& a, const File& b) {
    return a.second != b.second ? a.second < b.second : a.rotation > b.rotation;
  });
  log.files.clear();
  for (auto& file : files) log.files.push_back(std::move(file.path));
  return {};
}

semper::Status read_file(const std::string& path, Position& last, DpkgLog& log) {
  SEMPER_TRY(auto reader, LineReader::open(path));
  StatusEvent event;
  for (std::uint64_t number = 1;; ++number) {
    SEMPER_TRY(const auto line, reader.next());
    if (!line) return {};
    ++log.lines;
    switch (parse_line(*line, event)) {
      case LineKind::other:
        break;
      case LineKind::not_understood:
        if (log.lines_not_understood++ == 0) {
          log.first_not_understood = path + ":" + std::to_string(number);
        }
        break;
      case LineKind::status:
        if (log.events.size() >= kEventsMaximum) {
          return fail(ErrorKind::exhausted, path + ": more than " + std::to_string(kEventsMaximum) +
                                                " events; name fewer files with --log");
        }
        last = event.entry.position.second > last.second ? event.entry.position
                                                         : Position{last.second, last.index + 1};
        event.entry.position = last;
        log.events.push_back(std::move(event));
        break;
    }
  }
}

bool is_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

semper::Result<std::int64_t> parse_time(std::string_view date, std::string_view time) {
  const auto number = [](std::string_view text, std::size_t at, std::size_t size) {
    int value = 0;
    for (const char c : text.substr(at, size)) {
      if (c < '0' || c > '9') return -1;
      value = value * 10 + (c - '0');
    }
    return value;
  };
  if (date.size() == 10 && date[4] == '-' && date[7] == '-' && time.size() == 8 && time[2] == ':' &&
      time[5] == ':') {
    const std::chrono::year_month_day day{
        std::chrono::year(number(date, 0, 4)),
        std::chrono::month(static_cast<unsigned>(number(date, 5, 2))),
        std::chrono::day(static_cast<unsigned>(number(date, 8, 2)))};
    const int hours = number(time, 0, 2);
    const int minutes = number(time, 3, 2);
    const int seconds = number(time, 6, 2);
    const bool is_time = hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60 && seconds >= 0 &&
                         seconds <= 60;  // a leap second
    if (day.ok() && number(date, 0, 4) >= 0 && is_time) {
      const auto days = std::chrono::sys_days(day).time_since_epoch().count();
      return days * std::int64_t{86'400} + hours * 3'600 + minutes * 60 + seconds;
    }
  }
  return fail(ErrorKind::invalid_argument,
              "'" + std::string(date) + " " + std::string(time) + "' is not YYYY-MM-DD HH:MM:SS");
}

semper::Result<DpkgLog> find_dpkg_logs(const DpkgLogSearch& search) {
  DpkgLog log;
  std::error_code error;
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(search.folder, error)) {
    names.insert(entry.path().filename());
  }
  for (const auto& name : names) {
    if (!name.starts_with("dpkg.log")) continue;
    std::string_view rest = std::string_view(name).substr(8);
    const bool is_gzip = rest.ends_with(".gz");
    if (is_gzip) rest.remove_suffix(3);
    const bool is_rotated =
        rest.size() > 1 && (rest[0] == '.' || rest[0] == '-') && is_digits(rest.substr(1));
    const std::string path = search.folder + "/" + name;
    if (!rest.empty() && !is_rotated) {
      log.notes.push_back(
          path + ": left out, neither plain nor .gz; unpack it and name all files with --log");
    } else if (is_gzip && names.contains(name.substr(0, name.size() - 3))) {
      log.notes.push_back(path + ": left out, the same is there uncompressed");
    } else {
      log.files.push_back(path);
    }
  }
  if (log.files.empty()) {
    return fail(
        ErrorKind::not_found,
        "no dpkg.log in " + search.folder + (error ? " (" + error.message() + ")" : std::string()) +
            ": is this Debian or a relative of it, and was its log kept (container images often "
            "drop it)? Name a log with --log FILE, plain or .gz");
  }
  return log;
}

semper::Status read_dpkg_log(DpkgLog& log) {
  SEMPER_TRY_STATUS(order_by_time(log));
  Position last{-1, 0};
  for (const auto& path : log.files) SEMPER_TRY_STATUS(read_file(path, last, log));
  return {};
}

void cut_after(std::vector<StatusEvent>& events, const Position& last) {
  const auto end = std::upper_bound(events.begin(), events.end(), last,
                                    [](const Position& position, const StatusEvent& event) {
                                      return position < event.entry.position;
                                    });
  events.erase(end, events.end());
}

}  // namespace packages
