// A certificate for localhost that signed itself, and its key, made when a test first asks for them by
// the openssl tool (Debian: openssl), so that no key lies in the repository.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace semper::rpc::rpc_test {

struct TestIdentity {
  std::string certificate;
  std::string private_key;
};

inline std::string whole_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  return std::string((std::istreambuf_iterator<char>(file)), {});
}

inline TestIdentity make_identity() {
  std::string pattern = (std::filesystem::temp_directory_path() / "semper-rpc-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
  const std::filesystem::path folder = pattern;
  const std::string command =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 "
      "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 "
      "-keyout '" +
      (folder / "key").string() + "' -out '" + (folder / "certificate").string() + "' 2>/dev/null";
  const int code = std::system(command.c_str());
  TestIdentity identity{whole_file(folder / "certificate"), whole_file(folder / "key")};
  std::filesystem::remove_all(folder);
  if (code != 0 || identity.private_key.empty()) {
    throw std::runtime_error("openssl made no certificate; is the package openssl installed?");
  }
  return identity;
}

inline const TestIdentity& identity() {
  static const TestIdentity made = make_identity();
  return made;
}

}  // namespace semper::rpc::rpc_test
