//! Answers of CloudFormation: XML, as the Query protocol has it.

use std::collections::BTreeMap;

use roxmltree::{Document, Node};

use crate::asked::Refusal;

/// The outputs of the one stack that was asked for.
pub(crate) fn outputs(text: &str) -> Result<BTreeMap<String, String>, String> {
    let document = Document::parse(text).map_err(|error| format!("is no XML: {error}"))?;
    let stacks = path(document.root_element(), &["DescribeStacksResult", "Stacks"]);
    let mut stacks = stacks.into_iter().flat_map(|stacks| children(stacks, "member"));
    let stack = stacks.next().ok_or("names no stack")?;
    let members = path(stack, &["Outputs"]).into_iter().flat_map(|outputs| children(outputs, "member"));
    let read = |member: Node<'_, '_>| Some((value(member, "OutputKey")?, value(member, "OutputValue")?));
    Ok(members.filter_map(read).collect())
}

/// What an answer with an error says, if it is one of CloudFormation's.
pub(crate) fn refusal(text: &str) -> Option<Refusal> {
    let document = Document::parse(text).ok()?;
    let error = path(document.root_element(), &["Error"])?;
    Some(Refusal { code: value(error, "Code")?, message: value(error, "Message").unwrap_or_default() })
}

fn path<'a, 'b>(from: Node<'a, 'b>, names: &[&str]) -> Option<Node<'a, 'b>> {
    names.iter().try_fold(from, |node, name| children(node, name).next())
}

fn children<'a, 'b>(node: Node<'a, 'b>, name: &str) -> impl Iterator<Item = Node<'a, 'b>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

fn value(node: Node<'_, '_>, name: &str) -> Option<String> {
    Some(path(node, &[name])?.text().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_read_by_their_keys_with_what_xml_escapes() {
        let text = r#"<?xml version="1.0"?>
<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
  <DescribeStacksResult><Stacks><member>
    <StackName>replicante</StackName><StackStatus>UPDATE_COMPLETE</StackStatus>
    <Parameters><member><ParameterKey>Deployment</ParameterKey><ParameterValue>other</ParameterValue></member></Parameters>
    <Outputs>
      <member><OutputKey>TableName</OutputKey><OutputValue>a&amp;b</OutputValue><Description>x</Description></member>
      <member><OutputValue>prod</OutputValue><OutputKey>Deployment</OutputKey></member>
    </Outputs>
  </member></Stacks></DescribeStacksResult>
</DescribeStacksResponse>"#;
        let expected = [("Deployment", "prod"), ("TableName", "a&b")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(outputs(text).unwrap(), expected.into());
        let without = text.split("<Outputs>").next().unwrap().to_owned()
            + "</member></Stacks></DescribeStacksResult></DescribeStacksResponse>";
        assert!(outputs(&without).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_answer_of_cloudformation_is_said_to_be_none() {
        assert!(outputs("").unwrap_err().starts_with("is no XML"));
        assert!(outputs("<html/>").unwrap_err().starts_with("names no stack"));
        assert_eq!(refusal("<html><body/></html>"), None);
        // Entities that grow are not followed without end.
        let bomb = format!("<!DOCTYPE x [<!ENTITY a \"aaaa\">]><x>{}</x>", "&a;".repeat(10));
        assert!(outputs(&bomb).is_err());
    }
}
